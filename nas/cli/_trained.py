"""Find the trained network that a command's arguments name."""

from dataclasses import replace
from pathlib import Path

from nas.cli._data import as_word
from nas.core.errors import NasError, missing_package
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from nas.searching.runs.folder import find_architecture


def find_trained(arch: str, weights: str | None) -> Checkpoint:
    """Return the trained network of `arch`, a training folder or a checkpoint.

    With `weights`, a training folder or a checkpoint, `arch` is their architecture.

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
    _check_checkpoint(weights, arch)
    found, wanted = load_checkpoint(weights), find_architecture(arch)
    _check_same(found, wanted, weights, arch)
    return replace(found, arch=_named(replace(found.arch, name=wanted.name), arch))


def _check_checkpoint(weights: str, arch: str) -> None:
    """Refuse a plain file of tensors, which does not say its classes and normalisation."""
    try:
        from nas.training.plain_weights import is_plain
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="reading weights") from None
    if is_plain(weights):
        raise NasError(
            f"{weights} holds weights alone, and pruning needs their classes and normalisation; "
            f"train them on your data first: nas train {as_word(arch)} --weights "
            f"{as_word(weights)} --data DATA --out FOLDER, and give FOLDER here"
        )


def _named(arch: Architecture, text: str) -> Architecture:
    return arch if arch.name else replace(arch, name=Path(text).stem)


def _check_same(found: Checkpoint, wanted: Architecture, weights: str, text: str) -> None:
    """Refuse weights of another architecture; the number of classes is that of the weights."""
    from nas.training.task import for_classes

    wanted = for_classes(wanted, len(found.data.classes))
    if found.arch.fingerprint == wanted.fingerprint:
        return
    ours = dict(wanted.named_blocks())
    places = [place for place, block in found.arch.named_blocks() if ours.get(place) != block]
    what = places[0] if places else "its resolution or dropout"
    raise NasError(
        f"{weights} has weights of {found.arch.name or 'another architecture'}, not of {text}: "
        f"{what} differs; leave out --weights to prune what was trained"
    )
