"""Score the networks of a scaling grid by short trainings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.accuracy.short import Segment, ShortTrainingSetup, advance
from nas.core.machine import machine_memory
from nas.core.storage import Place
from nas.core.text import counted
from nas.core.workers.runner import Failure, Runner, outcomes
from nas.network.blocks import Architecture
from nas.network.checkpoint import metric_of
from nas.network.cost import cost
from nas.network.memory import check_memory, memory
from nas.network.multipliers import Multipliers, scale
from nas.scaling.grid import Point
from nas.scaling.search import GridScorer
from nas.training.data import load_data
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_recipe, fit_to_data

FOLDER = "trainings"
METRICS = {"top1": ("top1_proxy", "accuracy"), "map": ("map_proxy", "average precision")}
"""By the metric of a task: its name after a short training, and its description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How every network of a grid is trained.

    `epochs` of 0 means the recipe's. `resolution` is that of the base, which gamma multiplies; 0
    means the base's own.
    """

    data: str
    recipe: str = "auto"
    epochs: int = 0
    resolution: int = 0
    seed: int = 0


def by_training(
    base: Architecture,
    points: Sequence[Point],
    settings: TrainingSettings,
    *,
    runner: Runner,
    folder: Path,
) -> GridScorer:
    """Return a scorer that uses short trainings, each in its own folder in `folder`.

    Raises:
        TooLarge: if the trainings that run at once do not fit into this machine's memory.
        NasError: if data, recipe or resolution cannot be used.
    """
    images = load_data(settings.data)
    recipe = fit_recipe(adapt(find_recipe(settings.recipe), epochs=settings.epochs), images)
    side = settings.resolution or base.resolution
    factor = Multipliers(resolution=side / base.resolution)
    every = [scale(arch, factor) for arch in (base, *(point.arch for point in points))]
    wanted = [fit_to_data(arch, images, batch=recipe.batch) for arch in every]
    check_memory(
        runner.workers * max(memory(arch).training(recipe.batch) for arch in wanted),
        what="training the largest networks of the grid, "
        f"{recipe.batch} images and {runner.workers} at once,",
        limit=machine_memory(),
        then="take a smaller `train_resolution`, `budget` or `workers`",
    )
    setup = ShortTrainingSetup(
        data=images, recipe=recipe, seed=settings.seed, folder=Place(folder / FOLDER)
    )

    def score(archs: Sequence[Architecture]) -> Iterator[tuple[int, float | Failure]]:
        segments = [Segment(arch=scale(arch, factor), until=recipe.epochs) for arch in archs]
        for number, outcome in outcomes(runner, advance, setup, segments):
            yield number, outcome if isinstance(outcome, Failure) else outcome.value

    metric, what = METRICS[metric_of(base)]
    length = counted(recipe.epochs, "epoch")
    return GridScorer(
        metric=metric,
        text=f"train {images.fingerprint} {recipe} seed {settings.seed} at {side} px",
        note=(
            f"{metric} is the {what} on {settings.data} after {length} of recipe "
            f"{recipe.name}, the base at {side} px: one training each, so that small differences "
            f"are chance{_as_trained(wanted)}"
        ),
        score=score,
    )


def _as_trained(archs: Sequence[Architecture]) -> str:
    """Describe the networks' costs at the rounded pixels of their training; the base is first."""
    base, *costs = (cost(arch).macs for arch in archs)
    return (
        f"; as trained, the counted MACs are {min(costs) / base:.2f} to {max(costs) / base:.2f} "
        "times the base's"
    )
