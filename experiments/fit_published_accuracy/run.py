"""Fit and evaluate the predictor of published accuracies; write model and result.

python -m experiments.fit_published_accuracy.run --data ../shared/data
"""

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
import torch  # trains bundled models, but is not bundled
from scipy.stats import kendalltau

from experiments.fit_published_accuracy.edits import SEEN, edits
from experiments.fit_published_accuracy.families import WITHIN, Large, LeftOut, leave_out, summary
from experiments.fit_published_accuracy.process import (
    Process,
    Scaling,
    percent,
    scaling_of,
    tune,
)
from experiments.fit_published_accuracy.rows import (
    PREDICTIONS,
    TRAININGS,
    Published,
    Table,
    at_reference,
    joined,
    large_table,
    published_table,
    read_published,
)
from experiments.fit_published_accuracy.student import (
    SPACE,
    Teacher,
    TrainingSet,
    fit_student,
    front_rows,
    general_features,
    label,
    near_front,
)
from experiments.shared.folders import ROOT, SHARED_DATA
from experiments.shared.results import circumstances, rounded
from nas.accuracy.feature_model import (
    FeatureHeader,
    FeatureModel,
    load_feature_model,
    write_feature_model,
)
from nas.accuracy.features import Floats, features
from nas.accuracy.picks import PicksFeatures
from nas.core import data
from nas.core.files import write_text
from nas.network.zoo import load_architecture
from nas.space.file import load_space

HERE = Path(__file__).resolve().parent
TUNING, CONDITIONING = 200, 1_000
"""Rows of each of the two large sets."""
ROUNDS = 1
"""How often the student is trained again with the front of a search that it guides."""
PACKAGES = ("numpy", "scipy", "torch")
SOURCE = (
    "204 published networks (papers and model pages named in the records), the trainings of "
    "Accel-NASBench (Ahmad et al., 2024; Apache-2.0), the accuracy predictor of Once-for-All "
    "(Cai et al., 2020; code MIT)"
)
NOTE = "top1 is predicted for the recipe of MnasNet, MobileNetV3 and EfficientNet; not trained"
ZOO = (
    "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet_a1", "mnasnet_b1", "mobilenet_v2",
    "proxylessnas_mobile", "single_path_nas", "efficientnet_b0", "efficientnet_b1",
)  # fmt: skip
HEADER = FeatureHeader(
    schema=1, metric="top1", features=(), source=SOURCE, note=NOTE, family=0.0, left_out=0.0
)
log = logging.getLogger("fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--model", type=Path, default=ROOT / "accuracy_models" / "published.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--families-only", action="store_true", help="leave families out, write no model"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    start = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    published = read_published(options.data / "published_accuracies" / "networks.json")
    scaling = scaling_for(published)
    table = scaled(published_table(published), scaling)
    large, kept = large_rows(options.data, scaling, rng)
    left_out = leave_out(table, published.family_names, large)
    result: dict[str, Any] = {"schema": 1, "families": families_result(left_out)}
    log.info("families left out: %s", result["families"])
    if not options.families_only:
        left_out_mae = result["families"]["mean_of_maes"] / 100
        header = replace(HEADER, left_out=left_out_mae)
        result |= fit(published, Rows(table, large, kept), scaling, header, options)
    seconds = time.perf_counter() - start
    result["circumstances"] = {"seed": options.seed, **circumstances(PACKAGES, seconds)}
    name = "families.yaml" if options.families_only else "result.yaml"
    write_text(options.out / name, data.to_yaml(rounded(result, partial(round, ndigits=4))))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows to fit, and the held-out ones of the two large sets."""

    published: Table
    large: Large
    kept: dict[str, Table]


def fit(
    published: Published,
    rows: Rows,
    scaling: Scaling,
    header: FeatureHeader,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Fit the process to all rows and the student to the process; return both and their report."""
    values = tune(joined([rows.published, rows.large.tuning]))
    process = Process(joined([rows.published, rows.large.conditioning]), values)
    teacher = partial(by_reference, process, scaling)
    result: dict[str, Any] = {
        "hyperparameters": {name: np.exp(v).tolist() for name, v in values.items()},
        "kept_back": {name: _kept_back(process, kept) for name, kept in rows.kept.items()},
        "edits": {name: edits_result(name, teacher) for name in SEEN},
    }
    log.info("kept back: %s", result["kept_back"])
    rng = np.random.default_rng(options.seed + 1)
    model, examples = teach(published, teacher, header, rng)
    write_feature_model(model, options.model)
    model = load_feature_model(options.model)
    result["student"] = student_result(model, published, teacher)
    result["student"] |= {"examples": len(examples.features), "bytes": options.model.stat().st_size}
    result["zoo"] = {name: zoo_result(name, model, teacher) for name in ZOO}
    log.info("student: %s", result["student"])
    return result


def scaling_for(published: Published) -> Scaling:
    """Return the scaling of features, by the larger deviation of networks and space."""
    space = load_space(SPACE)
    rows = space.sample_matrix(np.random.default_rng(0), 2_000)
    own, other = scaling_of(published.features), scaling_of(PicksFeatures(space)(rows))
    return Scaling(own.mean, np.maximum(own.deviation, other.deviation))


def scaled(table: Table, scaling: Scaling) -> Table:
    """Return the rows with standardised features."""
    return replace(table, features=scaling(table.features))


def large_rows(
    folder: Path, scaling: Scaling, rng: np.random.Generator
) -> tuple[Large, dict[str, Table]]:
    """Return the rows of the two large sets to fit, and the held-out ones."""
    tuning, conditioning, kept = [], [], {}
    for name, space, scheme in (
        ("imagenet_mnasnet", "mnasnet_b0", TRAININGS),
        ("imagenet_mobilenetv3", "mobilenetv3", PREDICTIONS),
    ):
        table, _ = large_table(folder / name, space, scheme)
        order = rng.permutation(len(table))
        table = scaled(table, scaling)
        tuning.append(table.take(order[:TUNING]))
        conditioning.append(table.take(order[:CONDITIONING]))
        kept[name] = table.take(order[CONDITIONING : CONDITIONING + 3_000])
    return Large(joined(tuning), joined(conditioning)), kept


def by_reference(process: Process, scaling: Scaling, found: Floats) -> Any:
    """Return the function that predicts networks with the reference recipe from their features."""
    return process(at_reference(scaling(found)))


def teach(
    published: Published, teacher: Teacher, header: FeatureHeader, rng: np.random.Generator
) -> tuple[FeatureModel, TrainingSet]:
    """Return the student, trained on varied networks and on those that a search with it finds."""
    examples = label(teacher, general_features(published.archs, rng))
    log.info("%d examples", len(examples.features))
    for number in range(ROUNDS):
        model = fit_student(examples, header)
        examples += label(teacher, near_front(model, rng))
        log.info("round %d: %d examples", number + 1, len(examples.features))
    return fit_student(examples, header), examples


def student_result(model: FeatureModel, published: Published, teacher: Teacher) -> dict[str, Any]:
    """Return how close the student is to the process on unseen networks."""
    space, rng = load_space(SPACE), np.random.default_rng(99)
    described = PicksFeatures(space)
    samples = {
        "random": described(space.sample_matrix(rng, 2_000)),
        "front": described(front_rows(model, rng)),
        "published": published.features,
        "all over": general_features(published.archs, rng)[::20],
    }
    found = {name: closeness(model, teacher, rows) for name, rows in samples.items()}
    return {**found, "rows_a_second": rows_a_second(model)}


def closeness(model: FeatureModel, teacher: Teacher, found: Floats) -> dict[str, float]:
    """Return errors of the student relative to the process, in points, and of its deviations."""
    own, aim = model.predict_features(found, family=False), teacher(found)
    wanted = percent(aim.mean)
    errors = np.abs(100 * own.accuracy - wanted)
    deviations = aim.deviation * wanted * (1 - wanted / 100)
    return {
        "mae": float(errors.mean()),
        "worst": float(errors.max()),
        "tau": float(kendalltau(own.accuracy, wanted).statistic),
        "deviation_ratio": float(np.median(100 * own.deviation / deviations)),
        "mean_deviation": float(deviations.mean()),
    }


def rows_a_second(model: FeatureModel, count: int = 100_000) -> int:
    """Return the predictions with deviations per CPU second, the best of three."""
    space = load_space(SPACE)
    predict, rows = model.over(space), space.sample_matrix(np.random.default_rng(0), count)
    predict(rows[:1000])
    seconds = []
    for _ in range(3):
        start = time.process_time()
        predict(rows)
        seconds.append(time.process_time() - start)
    return int(float(f"{count / min(seconds):.2g}"))


def families_result(found: Sequence[LeftOut]) -> dict[str, Any]:
    """Return the report on the families that were left out."""
    each = {
        f.name: {
            "networks": len(f.errors),
            "mae": f.mae,
            "mae_without_bias": f.mae_without_bias,
            "bias": f.bias,
            "within_90": f.covered(WITHIN),
        }
        for f in found
    }
    return {**summary(found), "each": each}


def _kept_back(process: Process, rows: Table) -> dict[str, float]:
    predicted = process(rows, deviations=False)
    errors = np.abs(percent(predicted.mean) - rows.top1)
    tau = kendalltau(predicted.mean, rows.top1).statistic
    return {"rows": len(rows), "tau": float(tau), "mae": float(errors.mean())}


def edits_result(name: str, teacher: Teacher) -> dict[str, Any]:
    """Return the effects of single changes to a network, in points, beside published ones."""
    return {
        e.name: {"points": e.points} | ({"seen": list(e.seen)} if e.seen else {})
        for e in edits(name, teacher)
    }


def zoo_result(name: str, model: FeatureModel, teacher: Teacher) -> dict[str, float]:
    """Return the predictions of student and process for a network of the zoo, in per cent."""
    arch = load_architecture(name)
    own, aim = model.predict(arch), teacher(features(arch))
    return {
        "student": 100 * float(own.accuracy[0]),
        "deviation": 100 * float(own.deviation[0]),
        "process": float(percent(aim.mean)[0]),
    }


if __name__ == "__main__":
    main()
