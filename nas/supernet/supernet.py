"""A trained supernet: a space, and weights that all its networks share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.core.data import read_mapping
from nas.core.errors import NasError, NotInSpace, RunError
from nas.core.run_folder import SUPERNET, check_kind
from nas.core.schema import Reader
from nas.core.text import few
from nas.network.blocks import NORM_EPSILON, Architecture
from nas.network.checkpoint import (
    BEST,
    SUFFIX,
    Checkpoint,
    DataMetadata,
    read_header,
    read_weights,
)
from nas.network.weights import Weights
from nas.space.file import load_space
from nas.space.space import Space
from nas.supernet.slicing import subnet_weights
from nas.training.data import Data, check_task
from nas.training.task import for_classes

SPACE = "space.yaml"
"""The file of its space in the folder of a supernet."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Supernet:
    """The `weights` that the networks of `space` share, by the names of the shared layers.

    `path` is where they come from, `source` the text that names them in a command; `data` is what
    they were trained on, `epsilon` that of their normalisation; `named` is False where nobody said
    what the classes are called.
    """

    path: Path
    source: str
    space: Space
    weights: Weights
    data: DataMetadata
    epsilon: float = NORM_EPSILON
    named: bool = True

    def subnet_arch(self, arch: Architecture) -> Architecture:
        """Return `arch`, a network of the space, with the classes and the epsilon of the supernet.

        Raises:
            NotInSpace: if it is not in the space; the message names the first difference.
        """
        own = for_classes(arch, self._classes_of_space())
        try:
            self.space.encode(own)
        except NotInSpace as error:
            raise NotInSpace(f"{self.path}: {error}") from None
        return subnet_arch(arch, len(self.data.classes), epsilon=self.epsilon)

    def _classes_of_space(self) -> int:
        head = next(iter(self.space.heads.values()))
        return int(head[-1].options["width"][0])

    def subnet(self, arch: Architecture) -> Checkpoint:
        """Return `arch` with its part of the weights; its statistics are to be measured again.

        Raises:
            NotInSpace: if it is not in the space.
        """
        own = self.subnet_arch(arch)
        weights = subnet_weights(self.weights, own)
        return Checkpoint(
            path=self.path,
            arch=own,
            weights=weights,
            data=self.data,
            top1=None,
            named=self.named,
        )

    def trained_on(self) -> str:
        """Return the name of the data that it was trained on.

        Raises:
            NasError: if they are not known here.
        """
        if not self.data.fingerprint:
            raise NasError(
                f"{self.path} was trained elsewhere; give the images to score on, as in "
                "`data=imagefolder:/path`"
            )
        return self.data.name

    def check_data(self, data: Data) -> None:
        """Refuse data with other classes than those that it was trained on.

        Raises:
            NasError: naming both.
        """
        check_task(data, "classification")
        known, has = self.data.classes, data.classes
        if known != has and (self.named or len(known) != len(has)):
            raise NasError(
                f"{self.path} tells {len(known)} classes of {self.data.name} apart "
                f"({few(known)}), {data.name} has {len(has)} ({few(has)}); networks get a linear "
                f"classifier for them by `evaluator=supernet:{self.source},probe=true` in a "
                "search, and by --probe in nas supernet eval"
            )

    def check_space(self, space: Space) -> None:
        """Refuse another space than its own.

        Raises:
            NasError: naming both.
        """
        if space.fingerprint != self.space.fingerprint:
            raise NasError(
                f"{self.path} is a supernet of space {self.space.name}, not of {space.name}; "
                f"search its own space, or train one: nas supernet train --space {space.name}"
            )


def subnet_arch(arch: Architecture, classes: int, *, epsilon: float = NORM_EPSILON) -> Architecture:
    """Return a network of a space as a supernet for so many `classes` contains it."""
    return replace(for_classes(arch, classes), norm_epsilon=epsilon)


def is_folder(path: Path) -> bool:
    """Tell whether `path` is the folder of a supernet."""
    return (path / SUPERNET.mark).is_file()


def load_folder(folder: Path) -> Supernet:
    """Return the supernet in a folder, with the weights of its best epoch.

    Raises:
        NasError: if there is none, or a file is damaged or of another supernet.
    """
    check_kind(folder, SUPERNET)
    path = folder / f"{BEST}{SUFFIX}"
    if not path.is_file():
        raise RunError(f"{folder} has no trained weights yet; train it for an epoch at least")
    space = load_space(folder / SPACE)
    settings = read_mapping(folder / SUPERNET.mark)
    kept = Reader(folder / SUPERNET.mark).get(settings, "supernet", Mapping[str, Any])
    if kept.get("space") != space.fingerprint:
        raise RunError(f"{folder / SPACE} has changed since the supernet was trained; restore it")
    return Supernet(
        path=folder,
        source=str(folder),
        space=space,
        weights=read_weights(path),
        data=read_header(path).data,
    )
