"""Results from the bundled tables: the plain sum, fp32 and int8, one and two threads.

python -m experiments.latency_validation.bundled

Only reads the tables; nothing is measured.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.latency_validation.tables import VARIANTS, Variant
from experiments.shared.results import BLUE, GREY, RED, save
from nas.accuracy.predictor import Floats
from nas.core import data
from nas.core.files import write_text
from nas.latency.file import load_table
from nas.latency.measure.plan import plan_validation
from nas.latency.measure.samples import VALIDATION
from nas.latency.table import LatencyTable
from nas.report.table_notes import scores
from nas.space.file import load_space

HERE = Path(__file__).resolve().parent
CPU = "epyc_genoa"


def load(variant: Variant) -> LatencyTable:
    """Return the bundled table of a variant."""
    return load_table(variant.name(CPU))


def naive_ms(table: LatencyTable, space: str) -> Mapping[str, float]:
    """Return the sum of isolated units of the validation's networks, where all were measured."""
    source = table.provenance
    known = frozenset(source.calibrated_on) if source else frozenset()
    sums = {}
    for job in plan_validation(load_space(space), networks=50, known=known).of(VALIDATION):
        entries = [table.entries.get(unit.key) for unit in job.units]
        if all(entry is not None for entry in entries):
            sums[job.name] = sum(entry.isolated_ms or 0.0 for entry in entries if entry)
    return sums


def points(table: LatencyTable) -> Mapping[str, tuple[float, float]]:
    """Return predicted and measured milliseconds by network."""
    return table.validation.points if table.validation else {}


def draw_sums(chosen: Sequence[Variant]) -> dict[str, Any]:
    """Draw plain sums and the table's predictions against measurements; return the errors."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    axes = figure.subplots(1, len(chosen))
    result = {}
    for axis, variant in zip(np.atleast_1d(axes), chosen, strict=True):
        table = load(variant)
        sums, found = naive_ms(table, variant.space), points(table)
        names = [name for name in found if name in sums]
        measured = np.array([found[name][1] for name in names])
        naive = np.array([sums[name] for name in names])
        table_ms = np.array([found[name][0] for name in names])
        diagonal(axis, measured)
        axis.plot(measured, naive, "x", color=GREY, label="sum of isolated units")
        axis.plot(measured, table_ms, ".", color=BLUE, label="table")
        axis.set_title(f"{variant.space}: {len(names)} networks")
        axis.set_xlabel("measured whole, ms")
        axis.set_ylabel("predicted, ms")
        axis.legend(loc="upper left", frameon=False)
        result[variant.space] = {
            "naive": errors(naive, measured),
            "table": errors(table_ms, measured),
        }
    save(figure, HERE / "sums.png", dpi=140)
    return result


def draw_ratio(first: Variant, second: Variant, path: Path, *, words: str) -> dict[str, float]:
    """Draw how much faster each network is in the second variant; return the figures."""
    one, two = points(load(first)), points(load(second))
    names = [name for name in one if name in two]
    before, after = (np.array([p[name][1] for name in names]) for p in (one, two))
    guessed = np.array([one[name][0] / two[name][0] for name in names])
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.plot(before, before / after, ".", color=BLUE, label="measured")
    axis.plot(before, guessed, "+", color=RED, alpha=0.7, label="predicted by the tables")
    for name, x, y in zip(names, before, before / after, strict=True):
        if not name.startswith("network"):
            axis.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=6)
    axis.axhline(1, color=GREY, linewidth=0.8)
    axis.set_xlabel(f"{first.dtype}, {first.threads} thread, ms")
    axis.set_ylabel(words)
    axis.legend(frameon=False)
    save(figure, path, dpi=140)
    ratio = before / after
    return {
        "median": round(float(np.median(ratio)), 3),
        "least": round(float(ratio.min()), 3),
        "largest": round(float(ratio.max()), 3),
        "networks": len(names),
    }


def diagonal(axis: Axes, values: Floats) -> None:
    """Draw where predicted equals measured, and 5 % around it."""
    ends = np.array([values.min(), values.max()])
    axis.fill_between(ends, 0.95 * ends, 1.05 * ends, color=GREY, alpha=0.2, linewidth=0)
    axis.plot(ends, ends, color=GREY, linewidth=0.8)


def errors(predicted: Floats, measured: Floats) -> dict[str, float]:
    """Return bias, mean and worst error as fractions."""
    error = predicted / measured - 1
    return {
        "bias": round(float(error.mean()), 4),
        "mape": round(float(np.abs(error).mean()), 4),
        "worst": round(float(np.abs(error).max()), 4),
    }


def main() -> None:
    """Draw all pictures, and write the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    known = [variant for variant in VARIANTS if variant.name(CPU) in data.bundled("latency_tables")]
    result: dict[str, Any] = {"schema": 1, "tables": {}}
    for variant in known:
        table = load(variant)
        if table.validation and table.provenance:
            figures = scores(table.validation)
            figures |= {"noise": table.provenance.noise, "units": len(table.entries)}
            result["tables"][table.name] = figures
    result["sums"] = draw_sums([v for v in known if v.dtype == "fp32" and v.threads == 1])
    for first in known:
        for other, words in (
            (replace(first, dtype="int8"), "fp32 over int8"),
            (replace(first, threads=2), "one thread over two"),
        ):
            if other in known and other != first:
                name = f"{words.replace(' ', '_')}_{first.space}"
                result[name] = draw_ratio(first, other, HERE / f"{name}.png", words=words)
    write_text(HERE / "result.yaml", data.to_yaml(result))
    print(data.to_yaml(result))


if __name__ == "__main__":
    main()
