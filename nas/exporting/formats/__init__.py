"""Exporters: each file here writes an architecture in one format, and is that format's name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.network.weights import Weights


class Exporter(Protocol):
    """Writes architectures to files; what `create()` of a file in this folder returns.

    It is called once per architecture and must write atomically, so that whoever reads the path
    sees a whole file or none. It must not change the architecture or touch other files.
    """

    @property
    def suffix(self) -> str:
        """The usual end of a file's name, with the dot."""

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


def refuse_weights(weights: Weights | None, name: str) -> None:
    """Refuse weights that the format called `name` would lose.

    Raises:
        NasError: if there are any.
    """
    if weights is not None:
        raise NasError(f"the format {name} holds no weights; export to onnx, or leave them out")
