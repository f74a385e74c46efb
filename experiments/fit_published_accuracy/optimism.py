"""By how much is the best network of a search overrated? Measured on trained networks.

python -m experiments.fit_published_accuracy.optimism --data ../shared/data

The process predicts the trainings of Accel-NASBench, once without any of them and once with a
thousand. A line, fitted on half of the rest, maps its logits to the scale of the trainings; from
the other half, the best network by mean minus deviation is chosen at each of several latencies, and
compared with its trained accuracy.
"""

import argparse
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from experiments.fit_published_accuracy.process import Process, logit, percent, tune
from experiments.fit_published_accuracy.rows import (
    TRAININGS,
    Table,
    joined,
    large_table,
    published_table,
    read_published,
)
from experiments.fit_published_accuracy.run import (
    CONDITIONING,
    TUNING,
    large_rows,
    scaled,
    scaling_for,
)
from experiments.shared.folders import SHARED_DATA
from experiments.shared.results import rounded
from nas.accuracy.features import Floats
from nas.core import data
from nas.core.files import write_text
from nas.latency.file import load_table

HERE = Path(__file__).resolve().parent
BINS, SPLITS = 10, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    published = read_published(options.data / "published_accuracies" / "networks.json")
    scaling = scaling_for(published)
    known = scaled(published_table(published), scaling)
    large, _ = large_rows(options.data, scaling, np.random.default_rng(0))
    table, rows = large_table(options.data / "imagenet_mnasnet", "mnasnet_b0", TRAININGS)
    ms = load_table("pixel1").over(rows.space)(rows.matrix)
    order = np.random.default_rng(1).permutation(len(table))
    seen, rest = order[:CONDITIONING], order[CONDITIONING:]
    table = scaled(table, scaling)
    others = [part.take(part.schemes != TRAININGS) for part in (large.tuning, large.conditioning)]
    judged = table.take(rest), ms[rest]
    trained = table.take(seen[:TUNING]), table.take(seen)
    found = {
        "unseen": optimism(joined([known, others[0]]), joined([known, others[1]]), *judged),
        "seen": optimism(
            joined([known, others[0], trained[0]]), joined([known, others[1], trained[1]]), *judged
        ),
    }
    result = rounded({"schema": 1, **found}, partial(round, ndigits=3))
    write_text(options.out / "optimism.yaml", data.to_yaml(result))
    for name, one in found.items():
        print(name, one)


def optimism(tuning: Table, conditioning: Table, rows: Table, ms: Floats) -> dict[str, Any]:
    """Return how far chosen and random networks are overrated, in points, over splits."""
    process = Process(conditioning, tune(tuning))
    predicted = process(rows)
    chosen_errors, errors = [], []
    for split in range(SPLITS):
        half = np.random.default_rng(split).permutation(len(rows)) % 2
        slope, offset = np.polyfit(predicted.mean[half == 0], logit(rows.top1[half == 0]), 1)
        inside = half == 1
        mean = slope * predicted.mean[inside] + offset
        bound = mean - slope * predicted.deviation[inside]
        gap = percent(mean) - rows.top1[inside]
        edges = np.quantile(ms[inside], np.linspace(0, 1, BINS + 1))
        for low, high in pairwise(edges):
            here = np.flatnonzero((ms[inside] >= low) & (ms[inside] <= high))
            chosen_errors.append(float(gap[here[bound[here].argmax()]]))
        errors += gap.tolist()
    return {
        "networks": len(rows),
        "chosen": float(np.mean(chosen_errors)),
        "chosen_deviation": float(np.std(chosen_errors)),
        "all": float(np.mean(errors)),
        "mae": float(np.mean(np.abs(errors))),
    }


if __name__ == "__main__":
    main()
