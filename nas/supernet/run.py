"""Train a supernet of a space on data by a recipe, and resume where a training stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.core.data import find
from nas.core.files import read_text, write_text
from nas.core.progress import Report
from nas.core.run_folder import SUPERNET, holds
from nas.network.blocks import Architecture
from nas.space.file import load_space
from nas.space.space import Matrix, Space
from nas.supernet.calibration import AT_ONCE, BatchNormCalibration
from nas.supernet.sampling import largest, smallest
from nas.supernet.sandwich import SandwichTraining, Sharing
from nas.supernet.supernet import SPACE
from nas.training.data import Data
from nas.training.evaluate import OutOfMemory
from nas.training.job import Options, TrainingJob
from nas.training.recipes import Recipe
from nas.training.run import fit_recipe, fit_to_data, run_loop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedSupernet:
    """The result of training a supernet.

    `top1` is the mean accuracy of its largest, its smallest and some random networks in the best
    epoch, None before the first validation; `history` holds the metrics of each epoch.
    """

    largest: Architecture
    top1: float | None
    best_epoch: int
    epochs: int
    seconds: float
    finished: bool
    history: tuple[Mapping[str, Any], ...]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The accuracies of the best epoch."""
        best = next((one for one in self.history if one["epoch"] == self.best_epoch), {})
        return {name: best[name] for name in best if name.startswith("top1")}


def plan_supernet(
    space: Space,
    data: Data,
    recipe: Recipe,
    *,
    seed: int = 0,
    sharing: Sharing = Sharing(),  # noqa: B008  # frozen
    pool: Matrix | None = None,
) -> TrainingJob:
    """Return the training of a supernet of `space`; random networks come from the rows of `pool`.

    Raises:
        NasError: if the largest or the smallest network cannot be trained on the data.
    """
    recipe = fit_recipe(recipe, data)
    ends = (space.decode_row(row) for row in (largest(space), smallest(space)))
    first, _ = (fit_to_data(arch, data, batch=recipe.batch) for arch in ends)
    shared = SandwichTraining(
        space=space,
        classes=len(data.classes),
        sharing=sharing,
        calibration=BatchNormCalibration(data=data, at_once=min(AT_ONCE, recipe.batch)),
        pool=pool,
    )
    arch = replace(first, name=f"supernet of {space.name}")
    return TrainingJob(
        arch=arch, data=data, recipe=recipe, seed=seed, options=Options(), shared=shared
    )


def train_supernet(job: TrainingJob, space: str, out: Path) -> TrainedSupernet:
    """Train a planned supernet in the folder `out`; `space` is the name or file of its space.

    An interrupted training is resumed there. Ctrl-C ends it early: the result says so.

    Raises:
        OutOfMemory: if a batch does not fit for the largest network.
        NasError: if the folder holds something else, or the loss is no number any more.
    """
    keep_space(space, out)
    try:
        loop, interrupted = run_loop(job, out)
    except OutOfMemory as error:
        name, told = load_space(space).name, str(error).partition(", or a lower")[0]
        raise OutOfMemory(
            f"the largest network of space {name} does not fit: {told}, or smaller resolutions, "
            "widths and expansions in the space"
        ) from None
    now = loop.now
    return TrainedSupernet(
        largest=job.arch,
        top1=now.best,
        best_epoch=now.best_epoch,
        epochs=now.epoch,
        seconds=now.seconds,
        finished=not interrupted and now.epoch == job.recipe.epochs,
        history=tuple(loop.history),
    )


def keep_space(space: str, out: Path) -> None:
    """Write the file of the space, a name or a path, into the folder `out`, if it has none."""
    if not holds(out, SUPERNET) or not (out / SPACE).is_file():
        found = find("search space", space, where="search_spaces")
        write_text(out / SPACE, read_text(found))


def reporting(job: TrainingJob, report: Report, *, device: str) -> TrainingJob:
    """Return a planned training that says how far it is, on a device."""
    return replace(job, options=replace(job.options, report=report, device=device))
