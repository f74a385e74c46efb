"""The ways to a network for one's own images within a latency: each returns architectures."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import nas
from nas.core.errors import BadValue
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.multipliers import scale_resolution, scale_width
from nas.network.zoo import load_architecture
from nas.space.file import load_space
from nas.supernet.run import plan_supernet, train_supernet
from nas.training.data import load_data
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_to_data, train
from nas.training.task import for_classes

HERE = Path(__file__).resolve().parent
SPACE = str(HERE / "space.yaml")
TABLE = "xeon_2_3ghz_onnxruntime_1t_fp32_mbconv_32"
FAMILIES = ("mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v2")
WIDTHS = tuple(round(0.05 * i, 2) for i in range(2, 31))
CLASSES = 10
NEAR = 0.95
"""A random network of a latency has at least this share of it."""
MANY = 200
"""Candidates of the short trainings, of which their epochs allow some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The images, the folder for runs on them, the length of trainings, and how long to search."""

    data: str
    runs: Path
    epochs: int
    supernet_epochs: int
    scored: int


@contextmanager
def spending(costs: list[float]) -> Iterator[None]:
    """Append the processor seconds that the body takes; it must not have workers do the work."""
    before = time.process_time()
    yield
    costs.append(round(time.process_time() - before, 2))


def trained_supernet(setting: Setting) -> Path:
    """Train the supernet of the space; return its folder."""
    recipe = adapt(find_recipe("auto"), epochs=setting.supernet_epochs)
    job = plan_supernet(load_space(SPACE), load_data(setting.data), recipe)
    train_supernet(job, SPACE, setting.runs / "supernet")
    return setting.runs / "supernet"


def by_supernet(setting: Setting, ms: float) -> Architecture:
    """Return the best network within `ms` by shared weights."""
    evaluator = f"supernet:{setting.runs / 'supernet'}"
    return _searched(setting, ms, evaluator, "max:top1_proxy", setting.scored)


def by_proxy(setting: Setting, ms: float, seconds: float) -> tuple[Architecture, float]:
    """Return the best network within `ms` by short trainings, and their processor seconds.

    They have as many epochs as take `seconds`, by the time of one epoch of a random network.
    """
    recipe, costs = adapt(find_recipe("auto"), epochs=1), list[float]()
    data, (example,) = load_data(setting.data), random_ones(ms, 1)
    with spending(costs):
        train(fit_to_data(example, data), data, recipe, seed=0)
    epochs = max(setting.epochs, round(seconds / costs[0]))
    evaluator = f"proxy:epochs={setting.epochs}"
    found = _searched(setting, ms, evaluator, "max:top1_proxy", MANY, max_epochs=epochs)
    return found, epochs * costs[0]


def by_predictor(setting: Setting, ms: float) -> Architecture:
    """Return the best network within `ms` by the predictor of ImageNet accuracies."""
    return _searched(setting, ms, "published", "max:top1_lcb", 5000)


def _searched(
    setting: Setting,
    ms: float,
    evaluator: str,
    objective: str,
    trials: int,
    *,
    max_epochs: int = 0,
) -> Architecture:
    found = nas.search(
        space=SPACE,
        latency_table=TABLE,
        evaluator=evaluator,
        objective=objective,
        limit=f"latency_ms<={ms:g}",
        trials=trials,
        max_epochs=max_epochs,
        data="" if evaluator == "published" else setting.data,
        allow_extrapolation=True,
        out=setting.runs / f"{evaluator.partition(':')[0]}-{ms:g}",
    )
    if found.best is None:
        raise SystemExit(f"no network within {ms:g} ms was found by {evaluator}")
    return found.best.arch


def random_ones(ms: float, count: int) -> Sequence[Architecture]:
    """Return random networks of the space within `ms`, and not much below."""
    space, table = load_space(SPACE), load_table(TABLE)
    rng, found = np.random.default_rng(round(1000 * ms)), list[Architecture]()
    while len(found) < count:
        arch = space.decode_row(space.sample_matrix(rng, 1)[0])
        if NEAR * ms <= table.predict(arch).ms <= ms:
            found.append(arch)
    return found


def of_zoo(ms: float) -> Sequence[Architecture]:
    """Return the widest network within `ms` of each family, that nearest to it first."""
    table, side = load_table(TABLE), load_space(SPACE).resolutions[0]
    found = [_widest(name, side, ms, table) for name in FAMILIES]
    return sorted((a for a in found if a), key=lambda arch: -table.predict(arch).ms)


def _widest(name: str, side: int, ms: float, table: LatencyTable) -> Architecture | None:
    own = for_classes(scale_resolution(load_architecture(name), side), CLASSES)
    fitting = []
    for width in WIDTHS:
        try:
            arch = replace(scale_width(own, width), name=f"{name} x {width:g}")
        except BadValue:
            continue
        if table.predict(arch).ms <= ms:
            fitting.append(arch)
    return fitting[-1] if fitting else None
