"""Does a Gaussian process over shapes predict int8 units better than one over counts?"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from math import log, prod
from pathlib import Path

import numpy as np
import yaml

from experiments.latency_transfer.run import (
    HERE,
    MIN_NETWORKS,
    NETWORKS,
    SUBSETS,
    Measured,
    measured,
)
from nas.latency.measure.correction_fit import MeasuredNetwork, fit_correction
from nas.latency.measure.estimates import Floats
from nas.latency.measure.operator_fit import fit_operators
from nas.network.cost import cost_of
from nas.network.layers import Unit

TABLE = "epyc_genoa_onnxruntime_1t_int8_mobilenetv3"
SHARES = (0.1, 0.2, 0.4)
METHODS = ("linear model", "process over counts", "process over shapes")
ACTS, KINDS = ("relu", "relu6", "hswish", "swish"), ("conv", "mbconv", "separable", "linear")
LENGTHS, NOISES, VARIANCES = (1.0, 2.0, 4.0, 8.0), (1e-4, 1e-3, 1e-2), (0.003, 0.01, 0.03, 0.1)
"""The values of which the likeliest are taken."""
LITTLE_MS = 1e-6


def shape(unit: Unit) -> list[float]:
    """Return the sizes of a unit, the power of 2 that divides its channels, and its kind."""
    cost, block = cost_of(unit), unit.block
    channels = (block.in_channels, block.out_channels, block.hidden_channels)
    sizes = (cost.macs + 1, cost.params + 1, prod(unit.in_shape), prod(unit.out_shape))
    return [
        *(log(size) / 2 for size in sizes),
        log(unit.in_shape[1]),
        *(log(max(count, 1)) for count in channels),
        *(log(min(count & -count, 16) or 1) / log(16) for count in channels),
        block.kernel / 3,
        float(block.stride),
        float(block.se_channels > 0),
        float(unit.shortcut != "none"),
        *(float(block.act == act) for act in ACTS),
        *(float(block.kind == kind) for kind in KINDS),
    ]


def kernel(one: Floats, other: Floats, length: float) -> Floats:
    """Return the Matern 3/2 covariances of rows, with variance 1."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    distance = np.sqrt(np.maximum(squares, 0)) / length
    return np.asarray((1 + distance) * np.exp(-distance))


def process(rows: Floats, values: Floats, wanted: Floats) -> Floats:
    """Return the mean at `wanted` of the likeliest process through `values`."""
    best, found = np.inf, np.zeros(len(wanted))
    for length in LENGTHS:
        roots, vectors = np.linalg.eigh(kernel(rows, rows, length))
        parts = vectors.T @ values
        for noise in NOISES:
            for variance in VARIANCES:
                spread = variance * np.maximum(roots, 0) + noise
                unlikely = float((parts**2 / spread + np.log(spread)).sum())
                if unlikely < best:
                    weights = variance * vectors @ (parts / spread)
                    best, found = unlikely, kernel(wanted, rows, length) @ weights
    return found


def predicted(data: Measured, places: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return the isolated latencies of the networks' units by key, for each of `METHODS`."""
    units = [data.units[place] for place in places]
    ms = [data.isolated_ms[place] for place in places]
    wanted = list({unit.key: unit for units, _ in data.networks for unit in units}.values())
    model = fit_operators(units, ms).model
    linear = replace(model, residual=None)
    flat = np.array([max(linear.ms(unit), LITTLE_MS) for unit in [*units, *wanted]])
    rows = np.array([shape(unit) for unit in [*units, *wanted]])
    count = len(units)
    factors = np.exp(process(rows[:count], np.log(np.array(ms) / flat[:count]), rows[count:]))
    over_counts = [max(model.ms(unit), LITTLE_MS) for unit in wanted]
    columns = (flat[count:].tolist(), over_counts, (flat[count:] * factors).tolist())
    known = dict(zip((unit.key for unit in units), ms, strict=True))
    return {
        name: {**dict(zip((unit.key for unit in wanted), column, strict=True)), **known}
        for name, column in zip(METHODS, columns, strict=True)
    }


def error(data: Measured, ms: dict[str, float], fitted_on: Sequence[int]) -> float:
    """Return the mean error on the networks that the correction is not fitted on."""
    fixed = data.table.overhead_ms
    fit = fit_correction(
        [
            MeasuredNetwork(units=units, isolated_ms=[ms[u.key] for u in units], ms=total)
            for units, total in (data.networks[i] for i in fitted_on)
        ],
        fixed_ms=fixed,
    )
    corrected = fit.correction.corrected_ms
    errors = [
        (fixed + sum(corrected(u, ms[u.key], fixed) for u in units)) / total - 1
        for number, (units, total) in enumerate(data.networks)
        if number not in fitted_on
    ]
    return float(np.abs(errors).mean())


def main() -> None:
    """Write `shapes.yaml`, and print the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    out, data = parser.parse_args().out, measured(TABLE)
    result: list[dict[str, float]] = []
    print("| units | networks |", " | ".join(METHODS), "|\n|---|---|---|---|---|")
    for share in SHARES:
        units = round(share * len(data.units))
        for networks in (max(MIN_NETWORKS, round(share * NETWORKS)), NETWORKS):
            found = np.zeros((SUBSETS, len(METHODS)))
            for seed in range(SUBSETS):
                rng = np.random.default_rng(seed)
                fitted_on = rng.permutation(len(data.networks))[:networks].tolist()
                ms = predicted(data, rng.permutation(len(data.units))[:units].tolist())
                found[seed] = [error(data, ms[name], fitted_on) for name in METHODS]
            means = [round(float(mean), 4) for mean in found.mean(axis=0)]
            numbers = dict(zip(METHODS, means, strict=True))
            result.append({"units": units, "networks": networks, **numbers})
            cells = " | ".join(f"{100 * mean:.1f} %" for mean in means)
            print(f"| {units} | {networks} | {cells} |", flush=True)
    (out / "shapes.yaml").write_text(yaml.safe_dump(result, sort_keys=False))


if __name__ == "__main__":
    main()
