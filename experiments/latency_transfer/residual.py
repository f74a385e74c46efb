"""Does the residual of the operator model predict int8 units that were not measured?"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
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
from nas.latency.measure.operator_fit import fit_operators

TABLE = "epyc_genoa_onnxruntime_1t_int8_mobilenetv3"
SHARES = (0.1, 0.2, 0.4)
METHODS = ("linear model", "with residual")
LITTLE_MS = 1e-6


def predicted(data: Measured, places: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return the isolated latencies of the networks' units by key, for each of `METHODS`."""
    units = [data.units[place] for place in places]
    ms = [data.isolated_ms[place] for place in places]
    wanted = {unit.key: unit for units, _ in data.networks for unit in units}
    model = fit_operators(units, ms).model
    known = dict(zip((unit.key for unit in units), ms, strict=True))
    return {
        method: {key: max(one.ms(unit), LITTLE_MS) for key, unit in wanted.items()} | known
        for method, one in zip(METHODS, (replace(model, residual=None), model), strict=True)
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
    """Write `residual.yaml`, and print the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    out, data = parser.parse_args().out, measured(TABLE)
    result: list[dict[str, float]] = []
    print("| units | networks |", " | ".join(METHODS), "|\n|---|---|---|---|")
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
    (out / "residual.yaml").write_text(yaml.safe_dump(result, sort_keys=False))


if __name__ == "__main__":
    main()
