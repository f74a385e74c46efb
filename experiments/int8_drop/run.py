"""Fit the accuracy loss in int8 to published losses and those measured in `experiments/int8`.

    python -m experiments.int8_drop.run

Non-negative least squares, a coefficient for each of `KINDS`. The deviations are fitted in the same
way, to the absolute errors of rows left out. Losses above `MOST` count as `MOST`: nobody deploys
such a network, and `--max-drop` leaves layers in float. Rows of small data count half.
"""

import csv
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nas.accuracy.int8_drop import KINDS, channels_of_network, shares_of
from nas.core.data import folder, to_yaml
from nas.core.files import read_text, write_text
from nas.network.zoo import load_architecture

HERE = Path(__file__).parent
MOST = 5.0
"""Points."""
SMALL = 0.5
_SWISH = KINDS.index("swish")
_NORMAL = sqrt(pi / 2)
"""The ratio of a standard deviation to the mean absolute error."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The loss of one network in points, and the bundled network with activations like its own."""

    network: str
    like: str
    points: float
    weight: float
    source: str


def rows() -> list[Row]:
    """Return all losses: published ones, and those of `nas quantize`."""
    lines = csv.DictReader(read_text(HERE / "published.csv").splitlines())
    found = [
        Row(
            network=line["network"],
            like=line["like"],
            points=float(line["points"]),
            weight=1.0,
            source=f"{line['source']} ({line['method']})",
        )
        for line in lines
    ]
    for path in sorted((HERE.parent / "int8").glob("*.json")):
        result = json.loads(read_text(path))
        found += [
            Row(
                network=one["network"],
                like=one["network"],
                points=100 * (one["top1"]["float"] - one["top1"]["ours"]),
                weight=SMALL,
                source=f"experiments/int8, {result['data']}",
            )
            for one in result["networks"]
        ]
    return found


def fit(shares: Floats, points: Floats, weights: Floats) -> Floats:
    """Return the coefficients of `KINDS`, at least 0, in the unit of `points`."""
    root = np.sqrt(weights)
    found, _ = nnls(shares * root[:, None], points * root)
    return np.asarray(found)


def left_out(shares: Floats, points: Floats, weights: Floats) -> Floats:
    """Return the prediction for each row by a fit without it."""
    predicted = np.zeros(len(points))
    for i in range(len(points)):
        others = np.arange(len(points)) != i
        predicted[i] = shares[i] @ fit(shares[others], points[others], weights[others])
    return predicted


def main() -> None:
    """Fit the model, write it, and print a row for each loss."""
    ArgumentParser(description=__doc__).parse_args()
    found = rows()
    archs = {row.like: load_architecture(row.like) for row in found}
    shares = shares_of(np.array([channels_of_network(archs[row.like]) for row in found]))
    points = np.array([min(max(row.points, 0.0), MOST) for row in found])
    weights = np.array([row.weight for row in found])
    predicted = left_out(shares, points, weights)
    drop = fit(shares, points, weights)
    deviation = fit(shares, _NORMAL * np.abs(points - predicted), weights)
    swish = [row.points for row, share in zip(found, shares, strict=True) if share[_SWISH] > 0]
    _write(drop, deviation, len(found), swish)
    _print(found, shares, predicted, drop, deviation)


def _write(drop: Floats, deviation: Floats, networks: int, swish: Sequence[float]) -> None:
    content = {
        "schema": 1,
        "source": "python -m experiments.int8_drop.run",
        "note": (
            "in int8, top-1 is lowered by what networks of such activations lost after "
            "post-training quantization; few are known, and they differ much"
        ),
        "networks": networks,
        "drop": _fractions(drop),
        "deviation": _fractions(deviation),
        "swish": [round(end / 100, 5) for end in (min(swish), max(swish))],
    }
    write_text(folder("accuracy_models") / "int8_drop.yaml", to_yaml(content))


def _fractions(points: Floats) -> dict[str, float]:
    return {kind: round(float(p) / 100, 5) for kind, p in zip(KINDS, points, strict=True)}


def _print(
    found: Sequence[Row], shares: Floats, predicted: Floats, drop: Floats, deviation: Floats
) -> None:
    print("| network | lost | predicted | left out | deviation | source |")
    print("|---|---:|---:|---:|---:|---|")
    for row, share, out in zip(found, shares, predicted, strict=True):
        cells = (row.points, share @ drop, out, share @ deviation)
        numbers = " | ".join(f"{value:.2f}" for value in cells)
        print(f"| {row.network} | {numbers} | {row.source} |")


if __name__ == "__main__":
    main()
