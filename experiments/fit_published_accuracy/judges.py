"""Fit the judges, which are ridge regressions, each without one family of networks.

python -m experiments.fit_published_accuracy.judges --data ../shared/data
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.fit_published_accuracy.families import LEAST, Large
from experiments.fit_published_accuracy.process import SCHEMES, Scaling, logit, percent
from experiments.fit_published_accuracy.rows import (
    PUBLISHED,
    Published,
    Table,
    joined,
    published_table,
    read_published,
)
from experiments.fit_published_accuracy.run import SOURCE, large_rows, scaled, scaling_for
from experiments.shared.folders import ROOT, SHARED_DATA
from experiments.shared.results import rounded
from nas.accuracy.features import Floats
from nas.accuracy.judges import Judges, JudgesHeader, inputs, write_judges
from nas.core import data
from nas.core.files import write_text

HERE = Path(__file__).resolve().parent
PENALTY, EFFECT_PENALTY = 10.0, 3.0
"""The penalties on squared weights, and on squared effects of recipes and distillation."""
SLOPES = (1.0, 0.81, 1.34)
"""The slopes of the three scales, from the process."""
LARGE_SHARE = 0.3
"""The weight of each large set over that of all published networks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "accuracy_models" / "published_judges.npz"
    )
    options = parser.parse_args()
    published = read_published(options.data / "published_accuracies" / "networks.json")
    scaling = scaling_for(published)
    table = scaled(published_table(published), scaling)
    large, _ = large_rows(options.data, scaling, np.random.default_rng(0))
    judges = fit(published, table, large, scaling)
    write_judges(judges, options.model)
    result = {"schema": 1, **left_out(judges, table)}
    write_text(
        options.out / "judges.yaml", data.to_yaml(rounded(result, partial(round, ndigits=3)))
    )
    print(show(result))


def fit(published: Published, table: Table, large: Large, scaling: Scaling) -> Judges:
    """Return a judge without each family of at least `LEAST` networks."""
    counts = np.bincount(table.families)
    numbers = [n for n in range(len(published.family_names)) if counts[n] >= LEAST]
    weights = [
        ridge(joined([table.take(table.families != n), large.conditioning])) for n in numbers
    ]
    known = np.isin(table.families, numbers)
    return Judges(
        header=JudgesHeader(
            schema=1,
            metric="top1",
            families=tuple(published.family_names[n] for n in numbers),
            source=SOURCE,
        ),
        mean=scaling.mean.astype(np.float32),
        unit=scaling.deviation.astype(np.float32),
        weights=np.array(weights, dtype=np.float32),
        known=table.features[known].astype(np.float32),
        family=np.searchsorted(numbers, table.families[known]).astype(np.float32),
    )


def ridge(rows: Table) -> Floats:
    """Return the weights of `inputs` that give the logits of rows at the reference recipe.

    Offsets of the scales are free; recipes and distillation have effects of their own.
    """
    found = inputs(rows.features)[:, :-1] * np.array(SLOPES)[rows.schemes][:, None]
    recipes = np.eye(int(rows.recipes.max()) + 1)[np.maximum(rows.recipes, 0)]
    effects = np.column_stack([recipes * (rows.recipes > 0)[:, None], rows.distilled])
    design = np.column_stack([found, effects, np.eye(SCHEMES)[rows.schemes]])
    penalty = np.concatenate(
        [
            np.full(found.shape[1], PENALTY),
            np.full(effects.shape[1] - 1, EFFECT_PENALTY),
            [EFFECT_PENALTY / 3],
            np.full(SCHEMES, 1e-4),
        ]
    )
    counts = np.bincount(rows.schemes, minlength=SCHEMES)
    share = np.array([1.0, *[LARGE_SHARE] * (SCHEMES - 1)]) * counts[PUBLISHED] / counts
    weighed = design * share[rows.schemes][:, None]
    solved = np.linalg.solve(design.T @ weighed + np.diag(penalty), weighed.T @ logit(rows.top1))
    offset = solved[-SCHEMES + PUBLISHED]
    return np.append(solved[: found.shape[1]], offset)


def left_out(judges: Judges, table: Table) -> dict[str, Any]:
    """Return the errors of every judge on the family that it has not seen, in points."""
    each = {}
    for number, name in enumerate(judges.header.families):
        inside = judges.family == number
        rows = judges.known[inside].astype(float)
        top1 = table.top1[np.isin(table.families, _counted(table))][inside]
        errors = percent(inputs(rows) @ judges.weights[number]) - top1
        each[name] = {
            "networks": len(errors),
            "mae": float(np.abs(errors).mean()),
            "bias": float(errors.mean()),
        }
    return {"mean_of_maes": float(np.mean([one["mae"] for one in each.values()])), "each": each}


def _counted(table: Table) -> list[int]:
    counts = np.bincount(table.families)
    return [number for number, count in enumerate(counts) if count >= LEAST]


def show(result: dict[str, Any]) -> str:
    """Return the errors as Markdown."""
    rows = [
        f"| {name} | {one['networks']} | {one['mae']:.2f} | {one['bias']:+.2f} |"
        for name, one in result["each"].items()
    ]
    head = "| family left out | networks | mean error | constant |\n|---|---|---|---|"
    return "\n".join([head, *rows, f"\nmean over families: {result['mean_of_maes']:.2f} points"])


if __name__ == "__main__":
    main()
