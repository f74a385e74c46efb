"""Find the trained network that the arguments of a command name."""

from dataclasses import replace
from pathlib import Path

from nas.cli._data import as_word
from nas.cli._print import say
from nas.core.errors import NasError, missing_package
from nas.core.optional import optional
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from nas.network.lineage import Lineage
from nas.pipeline.lineage import lineage_before
from nas.searching.runs.folder import find_architecture

WEIGHTS = "timm:ID of the hub (nas list weights), timm:PATH, torchvision:PATH"
"""The sources of weights that were not trained here."""


def find_trained(arch: str, weights: str | None) -> Checkpoint:
    """Return the trained network of `arch`, a training folder or a checkpoint.

    With `weights` (a training folder, a checkpoint, or weights of timm or torchvision), `arch` is
    their architecture.

    Raises:
        NasError: if it is not trained, or has other weights.
    """
    if weights is None:
        if find_checkpoint(arch) is None:
            find_architecture(arch)
            raise NasError(
                f"{arch} is not trained, and pruning needs weights; train it first: nas train "
                f"{arch} --data DATA --out FOLDER, and give FOLDER here, or give --weights"
            )
        found = load_checkpoint(arch)
        return replace(found, arch=_named(found.arch, arch))
    wanted = find_architecture(arch)
    foreign = _foreign(weights, wanted, arch)
    if foreign:
        return foreign
    found = load_checkpoint(weights)
    _check_same(found, wanted, weights, arch)
    return replace(found, arch=_named(replace(found.arch, name=wanted.name), arch))


def how_found(arch: str, *, weights: str = "", inherits: bool = False) -> Lineage:
    """Return `lineage_before`; if a folder cannot be read, say so and return nothing."""
    with optional(f"the record of how {arch} was found", say):
        return lineage_before(arch, weights=weights, inherits=inherits)
    return Lineage()


def _foreign(weights: str, wanted: Architecture, arch: str) -> Checkpoint | None:
    """Return the network with weights of another library; None if the weights are our own.

    A plain file of tensors, which lacks classes and normalisation, is rejected.
    """
    try:
        from nas.training.foreign import is_foreign
        from nas.training.plain_weights import is_plain
        from nas.training.pretrained import load_weights
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="reading weights") from None
    if is_foreign(weights):
        return load_weights(_named(wanted, arch), weights)
    if is_plain(weights):
        raise NasError(
            f"{weights} holds weights alone, and this needs their classes and normalisation; "
            f"train them on your data first: nas train {as_word(arch)} --weights "
            f"{as_word(weights)} --data DATA --out FOLDER, and give FOLDER here"
        )
    return None


def _named(arch: Architecture, text: str) -> Architecture:
    return arch if arch.name else replace(arch, name=Path(text).stem)


def _check_same(found: Checkpoint, wanted: Architecture, weights: str, text: str) -> None:
    """Reject weights of another architecture; the number of classes is that of the weights."""
    from nas.training.task import for_classes

    wanted = for_classes(wanted, len(found.data.classes))
    if found.arch.fingerprint == wanted.fingerprint:
        return
    ours = dict(wanted.named_blocks())
    places = [place for place, block in found.arch.named_blocks() if ours.get(place) != block]
    what = places[0] if places else "its resolution, dropout, epsilon or padding"
    raise NasError(
        f"{weights} has weights of {found.arch.name or 'another architecture'}, not of {text}: "
        f"{what} differs; give {as_word(weights)} as ARCH for what was trained"
    )
