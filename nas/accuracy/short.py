"""Train candidates for a short time, up to a rung, all alike and each in its own folder."""

from dataclasses import dataclass, replace
from pathlib import Path

from nas.core.errors import NasError
from nas.core.storage import Place
from nas.network.blocks import Architecture
from nas.network.checkpoint import LAST, SUFFIX, load_checkpoint
from nas.supernet.inherited import Relative, inherit_weights
from nas.training.data import Data
from nas.training.job import Options
from nas.training.recipes import Recipe
from nas.training.run import ShortTrainingResult, complete_training, fit_to_data, plan


class TooSlow(NasError):
    """A training that exceeds its time limit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShortTrainingSetup:
    """The settings that all trainings of a search share.

    `resolution` is the training resolution (0: each architecture's own); `seconds` is the time
    limit per candidate (0: none); each training has a folder in `folder`, named by the fingerprint.
    All inherit the fitting weights of `relative`, if there is one, which is called `inherit`, or
    their part of those of a supernet. With `int8`, networks for int8 are quantized after each
    segment.
    """

    data: Data
    recipe: Recipe
    seed: int
    folder: Place
    device: str = "auto"
    resolution: int = 0
    seconds: float = 0.0
    relative: Relative | None = None
    inherit: str = ""
    int8: bool = False

    def prepared(self, arch: Architecture) -> Architecture:
        """Return `arch` as it is trained: at the training resolution, with the data's classes.

        Raises:
            BadValue: if the resolution is too small for it, or for the batch size.
        """
        arch = replace(arch, resolution=self.resolution or arch.resolution)
        return fit_to_data(arch, self.data, batch=self.recipe.batch)

    def place(self, arch: Architecture, *, int8: bool = False) -> Place:
        """Return the folder of the training of `arch`; int8 has a separate one."""
        return self.folder / name_of(arch, int8=int8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The part of a training of `arch` up to the end of epoch `until`, counted from 1.

    With `int8`, the result is that of the best network so far after post-training quantization.
    """

    arch: Architecture
    until: int
    int8: bool = False


def name_of(arch: Architecture, *, int8: bool = False) -> str:
    """Return the name of the training of `arch`, by its fingerprint."""
    return f"{arch.fingerprint}-int8" if int8 else arch.fingerprint


def advance(setup: ShortTrainingSetup, segment: Segment) -> ShortTrainingResult:
    """Resume the training of `segment.arch` to the end of the segment, and return the result.

    Raises:
        Diverged: if the loss becomes NaN or infinite.
        OutOfMemory: if a batch does not fit into memory.
        RunError: if the training cannot be saved.
        TooSlow: if it would take longer than `setup` allows.
        NasError: if the network is to be quantized and cannot be.
    """
    value = None
    with setup.place(segment.arch, int8=segment.int8).open(retry=True) as out:
        options = Options(device=setup.device, until=segment.until, seconds=setup.seconds)
        arch = setup.prepared(segment.arch)
        if setup.relative:
            begun = inherit_weights(
                setup.relative, arch, setup.data, seed=setup.seed, of=segment.arch
            )
            arch, usual = begun.arch, begun.normalisation
            options = replace(options, weights=begun.weights, normalisation=usual)
        job = plan(arch, setup.data, setup.recipe, seed=setup.seed, options=options)
        trained = complete_training(job, out)
        if segment.int8 and trained.epochs >= segment.until:
            value = _value_in_int8(setup, out)
    if trained.value is None or trained.epochs < segment.until:
        raise TooSlow(
            f"after {trained.seconds:.0f} s, the most that trial_seconds allows, "
            f"{trained.epochs} of {segment.until} epochs were done"
        )
    value = trained.value if value is None else value
    return ShortTrainingResult(value=value, epochs=trained.epochs, seconds=trained.seconds)


def _value_in_int8(setup: ShortTrainingSetup, folder: Path) -> float:
    from nas.accuracy.short_int8 import score_in_int8  # needs onnxruntime

    return score_in_int8(load_checkpoint(str(folder)), setup.data, seed=setup.seed)


def finish(setup: ShortTrainingSetup, arch: Architecture, *, int8: bool = False) -> None:
    """Remove the files that are needed only to resume a training; its best weights stay."""
    setup.place(arch, int8=int8).remove(f"{LAST}{SUFFIX}")


def discard(setup: ShortTrainingSetup, arch: Architecture, *, int8: bool = False) -> None:
    """Remove the weights of a training that will not be resumed; its log stays."""
    setup.place(arch, int8=int8).remove(f"*{SUFFIX}")
