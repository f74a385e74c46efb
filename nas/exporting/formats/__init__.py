"""Exporters: each file here writes an architecture in one format, and is that format's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nas.core.errors import NasError
from nas.core.files import atomic_path, write_folder
from nas.network.blocks import Architecture
from nas.network.weights import Weights


class Exporter(Protocol):
    """Writes architectures to files; what `create()` of a file in this folder returns.

    It is called once per architecture and must write atomically, so that readers of the path see a
    complete file or none. It must not change the architecture, or touch files but that at the path
    and those that belong to it by name.
    """

    @property
    def suffix(self) -> str:
        """The usual end of the name of the file, or folder, with the dot."""

    @property
    def holds_weights(self) -> bool:
        """Whether the format has room for weights."""

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write `arch`, with `weights` where the format holds them, to `path`.

        `metadata` say more about the network, its classes for instance; a format that holds no
        weights leaves them out.

        Raises:
            NasError: if weights are given to a format that has no room for them, or do not fit;
                if the path cannot be written; if a package is missing.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FileExporter:
    """An `Exporter` of one file: what `content` makes of architecture, weights and metadata.

    `beside` gives the files that belong to that at a path, with what they hold.
    """

    suffix: str
    content: Callable[[Architecture, Weights | None, Mapping[str, str] | None], bytes]
    holds_weights: bool = True
    beside: Callable[[Architecture, Path], Mapping[Path, bytes]] = lambda *_: {}

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the file to `path`; see `Exporter`."""
        if weights is not None and not self.holds_weights:
            raise NasError(
                f"the format {self.suffix[1:]} holds no weights; export to onnx, or leave them out"
            )
        content = self.content(arch, weights, metadata)
        _write(path, content)
        if path.is_file():  # no device
            for other, more in self.beside(arch, path).items():
                _write(other, more)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderExporter:
    """An `Exporter` of a folder: `content` gives its files by their names."""

    suffix: str
    content: Callable[[Architecture, Weights | None, Mapping[str, str] | None], Mapping[str, bytes]]
    holds_weights: bool = True

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the folder to `path`; see `Exporter`."""
        write_folder(path, self.content(arch, weights, metadata))


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path, follow=True) as temporary:
        temporary.write_bytes(content)
