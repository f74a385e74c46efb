"""Errors of whole networks against the number of units measured, with and without a prior."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from nas.latency.dialect import unit_from_key
from nas.latency.file import load_table
from nas.latency.measure.correction_fit import MeasuredNetwork, fit_correction
from nas.latency.measure.operator_fit import fit_operators
from nas.latency.measure.plan import plan_validation
from nas.latency.measure.samples import VALIDATION
from nas.latency.measure.selection import select_units
from nas.latency.predictor import OpModel
from nas.latency.table import LatencyTable
from nas.network.layers import Unit
from nas.space.file import load_space

HERE = Path(__file__).parent
ONE = "epyc_genoa_onnxruntime_1t_fp32"
CASES = {
    f"{ONE}_mobilenetv3": ("pixel1", f"{ONE}_mnasnet_b0"),
    "epyc_genoa_onnxruntime_1t_int8_mobilenetv3": ("pixel1", f"{ONE}_mobilenetv3"),
    "epyc_genoa_onnxruntime_2t_fp32_mnasnet_b0": ("pixel1", f"{ONE}_mnasnet_b0"),
}
"""The tables whose units are subsampled, each with the table of its prior."""
ROUGH = "note10"
SHARES = (0.03, 0.06, 0.1, 0.2, 0.4, 1.0)
SUBSETS = 10
MIN_UNITS, NETWORKS, MIN_NETWORKS, LITTLE_MS = 20, 40, 8, 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A table's units with their isolated latencies, and networks with theirs."""

    table: LatencyTable
    units: Sequence[Unit]
    isolated_ms: Sequence[float]
    networks: Sequence[tuple[Sequence[Unit], float]]


def measured(name: str) -> Measured:
    """Return the measurements of the table `name`, and the random networks of its validation."""
    table = load_table(name)
    assert table.provenance
    assert table.validation
    points = table.validation.points
    plan = plan_validation(
        load_space(table.provenance.space),
        networks=sum(one.startswith("network ") for one in points),
        known=frozenset(table.provenance.calibrated_on),
    )
    jobs = [job for job in plan.of(VALIDATION) if job.name in points]
    entries = {key: entry for key, entry in table.entries.items() if entry.isolated_ms}
    return Measured(
        table=table,
        units=[unit_from_key(key) for key in entries],
        isolated_ms=[entry.isolated_ms or 0.0 for entry in entries.values()],
        networks=[(job.units, points[job.name][1]) for job in jobs],
    )


def error(
    data: Measured, places: Sequence[int], fitted_on: Sequence[int], prior: OpModel | None
) -> float:
    """Return the mean error on the other networks, after fitting to some units and networks."""
    units = [data.units[place] for place in places]
    known = dict(zip((u.key for u in units), (data.isolated_ms[p] for p in places), strict=True))
    model = fit_operators(units, list(known.values()), prior=prior).model

    def alone(unit: Unit) -> float:
        return known.get(unit.key) or max(model.ms(unit), LITTLE_MS)

    fixed = data.table.overhead_ms
    rows = [
        MeasuredNetwork(units=units, isolated_ms=[alone(u) for u in units], ms=ms)
        for units, ms in (data.networks[i] for i in fitted_on)
    ]
    correction = fit_correction(rows, fixed_ms=fixed).correction
    errors = [
        (fixed + sum(correction.corrected_ms(u, alone(u), fixed) for u in units)) / ms - 1
        for number, (units, ms) in enumerate(data.networks)
        if number not in set(fitted_on)
    ]
    return float(np.abs(errors).mean())


def curve(data: Measured, *, chosen: bool, prior: str | None) -> Mapping[str, list[float]]:
    """Return the number of units and the mean, least and largest error of ten subsets."""
    before = load_table(prior).model if prior else None
    rough = before or load_table(ROUGH).model
    assert rough is not None
    rows: dict[str, list[float]] = {"units": [], "mean": [], "least": [], "most": []}
    for share in SHARES:
        number = max(MIN_UNITS, round(share * len(data.units)))
        networks = max(MIN_NETWORKS, round(share * NETWORKS))
        best = select_units(data.units, number, model=rough) if chosen else ()
        found = []
        for seed in range(SUBSETS):
            rng = np.random.default_rng(seed)
            fitted_on = rng.permutation(len(data.networks))[:networks].tolist()
            places = best or rng.permutation(len(data.units))[:number].tolist()
            found.append(error(data, places, fitted_on, before))
        rows["units"].append(number)
        for name, value in (("mean", np.mean(found)), ("least", min(found)), ("most", max(found))):
            rows[name].append(round(float(value), 4))
    return rows


def draw(result: Mapping[str, Mapping[str, Mapping[str, list[float]]]], path: Path) -> None:
    """Draw a panel for each table."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(result), figsize=(4.4 * len(result), 3.8))
    for axes, (name, lines) in zip(panels, result.items(), strict=True):
        top = 100 * max(value for rows in lines.values() for value in rows["mean"])
        for (label, rows), color in zip(lines.items(), ("C7", "C0", "C1", "C2"), strict=True):
            axes.plot(rows["units"], [100 * v for v in rows["mean"]], "o-", ms=3, color=color,
                      label=label.replace("epyc_genoa_onnxruntime_", ""))  # fmt: skip
            ends = ([100 * v for v in rows[name]] for name in ("least", "most"))
            axes.fill_between(rows["units"], *ends, color=color, alpha=0.1, lw=0)
        axes.set(xscale="log", xlabel="units measured", ylim=(0, 1.15 * top))
        numbers = lines["random units"]["units"]
        axes.set_xticks(numbers, [f"{number:.0f}" for number in numbers])
        axes.minorticks_off()
        axes.set_title(name.removeprefix("epyc_genoa_onnxruntime_"), fontsize=9)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
    panels[0].set_ylabel("mean error of networks (%)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Write result and picture, and print the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    out = parser.parse_args().out
    result: dict[str, dict[str, Mapping[str, list[float]]]] = {}
    for name, priors in CASES.items():
        data = measured(name)
        lines = {
            "random units": curve(data, chosen=False, prior=None),
            "chosen units": curve(data, chosen=True, prior=None),
            **{f"chosen, from {prior}": curve(data, chosen=True, prior=prior) for prior in priors},
        }
        result[name] = lines
        print(f"\n`{name}`, {len(data.networks)} networks\n")
        print("| units | " + " | ".join(lines) + " |\n|---|" + "---|" * len(lines))
        for i, number in enumerate(lines["random units"]["units"]):
            cells = [f"{100 * rows['mean'][i]:.1f} %" for rows in lines.values()]
            print(f"| {number:.0f} | " + " | ".join(cells) + " |", flush=True)
    (out / "result.yaml").write_text(yaml.safe_dump(result, sort_keys=False))
    draw(result, out / "transfer.png")


if __name__ == "__main__":
    main()
