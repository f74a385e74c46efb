"""Short trainings, in legs: the same for every candidate, each in a folder of its own."""

from dataclasses import dataclass, replace

from nas.core.errors import NasError
from nas.core.storage import Place
from nas.network.blocks import Architecture
from nas.network.checkpoint import LAST, SUFFIX
from nas.training.data import Data
from nas.training.job import Options
from nas.training.recipes import Recipe
from nas.training.run import carry_through, fit, plan


class TooSlow(NasError):
    """A training that takes longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """What the trainings of a search share.

    `resolution` is that of training (0: each architecture's own); `seconds` is how long one
    candidate may train in all (0: for ever); the trainings lie in `folder` by fingerprint, each a
    place of its own.
    """

    data: Data
    recipe: Recipe
    seed: int
    folder: Place
    device: str = "auto"
    resolution: int = 0
    seconds: float = 0.0

    def prepared(self, arch: Architecture) -> Architecture:
        """Return `arch` as it is trained: at this resolution, with the classes of the data.

        Raises:
            BadValue: if the resolution is too small for it, or for the size of the batches.
        """
        arch = replace(arch, resolution=self.resolution or arch.resolution)
        return fit(arch, self.data, batch=self.recipe.batch)

    def place(self, arch: Architecture) -> Place:
        """Return the folder of the training of `arch`."""
        return self.folder / arch.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Train `arch` until the end of an epoch, from 1, in whatever legs before."""

    arch: Architecture
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The result of a leg: the best accuracy so far, a fraction, after `epochs` and `seconds`."""

    top1: float
    epochs: int
    seconds: float


def advance(bench: Bench, leg: Leg) -> Reached:
    """Return what `leg.arch` reaches by the end of the leg, going on from the one before.

    Raises:
        Diverged: if the loss is no number any more.
        OutOfMemory: if a batch does not fit.
        RunError: if the training cannot be kept.
        TooSlow: if it would take longer than the bench allows.
    """
    with bench.place(leg.arch).open(patient=True) as out:
        options = Options(device=bench.device, until=leg.until, seconds=bench.seconds)
        arch = bench.prepared(leg.arch)
        job = plan(arch, bench.data, bench.recipe, seed=bench.seed, options=options)
        trained = carry_through(job, out)
    if trained.top1 is None or trained.epochs < leg.until:
        raise TooSlow(
            f"after {trained.seconds:.0f} s, the most that trial_seconds allows, "
            f"{trained.epochs} of {leg.until} epochs were done"
        )
    return Reached(top1=trained.top1, epochs=trained.epochs, seconds=trained.seconds)


def finish(bench: Bench, arch: Architecture) -> None:
    """Remove what only a training that goes on needs; its best weights stay."""
    bench.place(arch).remove(f"{LAST}{SUFFIX}")


def discard(bench: Bench, arch: Architecture) -> None:
    """Remove the weights of a training that does not go on; what it logged stays."""
    bench.place(arch).remove(f"*{SUFFIX}")
