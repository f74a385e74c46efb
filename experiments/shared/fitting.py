"""Fit the accuracy model of a space: a teacher to the rows, a small network to its labels."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch  # fits bundled models, but is not bundled
from matplotlib.figure import Figure

from experiments.shared.folders import ROOT, SHARED_DATA
from experiments.shared.networks import Networks, Recipe
from experiments.shared.results import circumstances, rounded, save
from experiments.shared.rows import SCALES, Rows, figures, folds, read_rows
from experiments.shared.teachers import TEACHERS, Teacher
from nas.accuracy.predictor import (
    Accuracy,
    AccuracyModel,
    Floats,
    HoldOut,
    Scale,
    load_accuracy_model,
    one_hot,
    write_accuracy_model,
)
from nas.core import data
from nas.core.files import write_text
from nas.network.zoo import load_architecture
from nas.space.sampling import covering_rows

FOLDS = 10
PACKAGES = ("numpy", "torch", "scipy", "scikit-learn")
log = logging.getLogger("fit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The fits for one space."""

    space: str
    metric: str
    source: str
    note: str
    student: Recipe
    labels: int = 300_000
    deviations: int = 15_000


PLANS = {
    "mnasnet_b0": Plan(
        space="mnasnet_b0",
        metric="top1_proxy",
        source="Accel-NASBench (Ahmad et al., 2024; Apache-2.0), ImageNet, shortened training",
        note=(
            "top1_proxy comes from a shortened training scheme: EfficientNet-B0 has about 0.66 "
            "on this scale and 0.77 trained in full, so read ranks and differences"
        ),
        student=Recipe(hidden=(128, 128), epochs=16, batch=384, rate=5e-3, decay=0.01),
    ),
    "mobilenetv3": Plan(
        space="mobilenetv3",
        metric="top1",
        source="accuracy predictor of Once-for-All (Cai et al., 2020; code MIT), ImageNet",
        note=(
            "top1 is predicted for fine-tuned Once-for-All networks and mapped to the published "
            "scale (12.97 + 0.773 * predictor, in per cent), which leaves 0.27 points"
        ),
        student=Recipe(hidden=(224, 176), epochs=14, batch=1024, rate=5e-3, decay=0.0, muon=4e-3),
        labels=900_000,
    ),
}


def fit_model(plan: Plan, rows: Rows, seed: int) -> tuple[AccuracyModel, Teacher]:
    """Return the bundled model, fitted to `rows`, and its teacher.

    The deviation of the model is the teacher's, widened by the distance between the two.
    """
    start = time.perf_counter()
    teacher = TEACHERS[plan.space](rows, seed)
    log.info("teacher fitted to %d rows in %.0f s", len(rows.top1), time.perf_counter() - start)
    rng = np.random.default_rng(seed)
    matrix = covering_rows(rows.space, rows.matrix, rng, plan.labels)
    mean = Networks(plan.student, one_hot(rows.space, matrix), teacher.mean(matrix), seed).export()
    model = AccuracyModel(
        domain=rows.space, metric=plan.metric, source=plan.source, note=plan.note,
        mean=mean, spread=mean,
    )  # fmt: skip
    matrix = covering_rows(rows.space, rows.matrix, rng, plan.deviations)
    taught = teacher(matrix)
    gap = model.accuracy(matrix) - taught.accuracy
    wanted = np.log(np.hypot(taught.deviation, np.sqrt(np.mean(gap**2))))
    recipe = Recipe(hidden=(32,), epochs=20, batch=64, decay=0.01)
    spread = Networks(recipe, one_hot(rows.space, matrix), wanted, seed).export()
    log.info(
        "distilled after %.0f s; %.3f points from the teacher (root mean square)",
        time.perf_counter() - start, 100 * np.sqrt(np.mean(gap**2)),
    )  # fmt: skip
    return replace(ranged(model, rows), spread=spread), teacher


def cross_validate(plan: Plan, rows: Rows, *, count: int, seed: int) -> dict[str, Any]:
    """Return the errors of both steps on `count` of `FOLDS` folds, and every prediction."""
    students, teachers, kept = [], [], []
    predicted, top1 = [], []
    for number, fold in enumerate(folds(rows, FOLDS, seed)[:count]):
        rest = np.setdiff1d(np.arange(len(rows.top1)), fold)
        model, teacher = fit_model(plan, rows.take(rest), seed + number)
        predicted.append(model.predict_matrix(rows.matrix[fold]))
        top1.append(rows.top1[fold])
        students.append(figures(predicted[-1], top1[-1]))
        teachers.append(figures(teacher(rows.matrix[fold]), top1[-1]))
        kept.append(len(fold))
        log.info("fold %d of %d: tau %.4f, r2 %.4f, mae %.4f (teacher: tau %.4f)",
                 number + 1, count, students[-1]["tau"], students[-1]["r2"],
                 students[-1]["mae"], teachers[-1]["tau"])  # fmt: skip
    both = Accuracy(*(np.concatenate(parts) for parts in zip(*predicted, strict=True)))
    pooled = np.concatenate(top1)
    return {
        "rows": sum(kept),
        "model": _average(students),
        "teacher": _average(teachers),
        "model_pooled": figures(both, pooled),
        "tau_by_fold": [round(each["tau"], 4) for each in students],
        "r2_by_fold": [round(each["r2"], 4) for each in students],
        "points": (both, pooled),
    }


def _average(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([part[key] for part in parts])) for key in parts[0]}


def ranged(model: AccuracyModel, rows: Rows) -> AccuracyModel:
    """Return `model` with the range of the accuracies of `rows`, on which it was fitted."""
    low, high = (round(float(end), 6) for end in (rows.top1.min(), rows.top1.max()))
    return replace(model, fitted_range=(low, high))


def finished(model: AccuracyModel, average: dict[str, float], rows: int) -> AccuracyModel:
    """Return `model` on the reported scale, with its figures on `rows` held-out rows."""
    return replace(
        model,
        scale=SCALES[model.space],
        held_out=HoldOut(rows=rows, **{key: round(v, 5) for key, v in average.items()}),
    )


def archs_per_second(model: AccuracyModel, count: int = 100_000) -> int:
    """Return the predictions with deviations per second, to two digits."""
    matrix = model.domain.sample_matrix(np.random.default_rng(0), count)
    model.predict_matrix(matrix[:1000])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict_matrix(matrix)
        seconds.append(time.perf_counter() - start)
    return int(float(f"{count / min(seconds):.2g}"))


def plot(points: tuple[Accuracy, Floats], path: Path, title: str) -> None:
    """Draw predicted against measured accuracies of held-out rows."""
    predicted, top1 = points
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(100 * top1, 100 * predicted.accuracy, ".", markersize=2, alpha=0.4)
    ends = [100 * top1.min(), 100 * top1.max()]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xlabel="top-1 in the data, %", ylabel="predicted, held out, %", title=title)
    save(figure, path, dpi=110)


def result_of(model: AccuracyModel, teacher: Teacher, rows: Rows) -> dict[str, Any]:
    """Return the report on the bundled model."""
    name = model.domain.baseline
    row = model.domain.pack(model.domain.encode(load_architecture(name)))[None]
    shown, taught = model.predict_matrix(row), teacher(row)
    scale, on_data = model.scale, replace(model, scale=Scale())
    return {
        "baseline": name,
        "baseline_top1": float(shown.accuracy[0]),
        "baseline_deviation": float(shown.deviation[0]),
        "baseline_top1_of_teacher": float(scale.intercept + scale.slope * taught.accuracy[0]),
        "fitted_on": len(rows.top1),
        "on_fitted_rows": figures(on_data.predict_matrix(rows.matrix), rows.top1),
        "archs_per_second": archs_per_second(model),
    }


def main(space: str, folder: Path, rows_of: str) -> None:
    """Fit, evaluate and write the model of `space`; the report goes to `folder`."""
    parser = argparse.ArgumentParser(description=f"Fit the accuracy model of {space}.")
    parser.add_argument(
        "--data", type=Path, default=SHARED_DATA / rows_of, help="folder of train.csv"
    )
    parser.add_argument("--cross-validate", action="store_true", help="judge on all folds, not one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--range-only", action="store_true", help="keep the weights, write the range"
    )
    options = parser.parse_args()
    path = ROOT / "accuracy_models" / f"{space}.npz"
    if options.range_only:
        write_accuracy_model(
            ranged(load_accuracy_model(path), read_rows(options.data, space)), path
        )
        return
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    start = time.perf_counter()
    plan, rows = PLANS[space], read_rows(options.data, space)
    judged = cross_validate(
        plan, rows, count=FOLDS if options.cross_validate else 1, seed=options.seed
    )
    points = judged.pop("points")
    model, teacher = fit_model(plan, rows, options.seed)
    model = finished(model, judged["model"], judged["rows"])
    write_accuracy_model(model, path)
    plot(points, folder / "held_out.png", f"{space}: {len(points[1])} held-out architectures")
    result = {
        "schema": 1,
        "space": space,
        "folds": f"{FOLDS if options.cross_validate else 1} of {FOLDS}",
        "held_out": judged,
        "shipped": result_of(load_accuracy_model(path), teacher, rows),
        "bytes": path.stat().st_size,
        "circumstances": {
            "seed": options.seed,
            "threads": torch.get_num_threads(),
            **circumstances(PACKAGES, time.perf_counter() - start),
        },
    }
    result = rounded(result, partial(round, ndigits=5))
    write_text(folder / "result.yaml", data.to_yaml(result))
    log.info("wrote %s and %s", path, folder / "result.yaml")
