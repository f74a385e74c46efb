"""Fit and evaluate the operator models of the Pixel tables; write tables, result and plot."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.fit_pixel1.model import (
    LARGE,
    Fit,
    Residual,
    by_family,
    by_resolution,
    by_width,
    covered,
    cross_validate,
    extrapolate,
    fit,
    measure_hswish,
    quantile,
)
from experiments.fit_pixel1.rows import (
    FAMILIES,
    Check,
    Row,
    block_rows,
    held_back,
    network_rows,
    ranges,
    read_records,
)
from experiments.shared.folders import ROOT, SHARED_DATA
from experiments.shared.results import save, significant
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.latency.file import write_table
from nas.latency.predictor import OpModel
from nas.latency.provenance import TableError
from nas.latency.table import LatencyTable, Spread

HERE = Path(__file__).resolve().parent
ANCHOR = "MobileNetV2-1.0-224 (2019)"
ANCHOR_MS = {"pixel1": 64.0, "pixel2": 76.0, "pixel3": 56.0}  # Howard et al., 2019, table 3
CORES = {
    "pixel1": "one large core (Kryo, 2.15 GHz, Snapdragon 821)",
    "pixel2": "one large core (Kryo 280 Gold, 2.35 GHz, Snapdragon 835)",
    "pixel3": "one large core (Kryo 385 Gold, 2.5 GHz, Snapdragon 845)",
}
RUNTIMES = {
    "2018": "TensorFlow Lite of 2018, h-swish without a kernel of its own",
    "2019": "TensorFlow Lite of 2019, optimised h-swish",
}
SOURCES = [
    "Stamoulis et al., 2019 (Single-Path NAS): block latencies on Pixel 1, Apache-2.0",
    "Sandler et al., 2018 (MobileNetV2) and the model page of TF-slim",
    "Tan et al., 2019 (MnasNet) and the model page of MnasNet",
    "Cai et al., 2019 (ProxylessNAS)",
    "Howard et al., 2019 (MobileNetV3), tables 3 and 5",
]
WEAK = [
    "below 160 px errors are about twice as large",
    "networks wider than 1.0 at 112x112 are off by 3 to 8 %, in both directions",
    "squeeze-and-excitation was measured on maps up to 28x28 only, within whole networks",
    "swish was never measured: it counts like h-swish without a kernel of its own",
]
COVERAGE = 0.9
TRANSFER = 0.04
"""Assumed additional relative error where a single network relates a device to the Pixel 1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "pixel1")
    parser.add_argument("--tables", type=Path, default=ROOT / "latency_tables")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    records = read_records(options.data)
    networks, blocks = network_rows(records), block_rows(options.data)
    hswish = measure_hswish(networks)
    fitted = fit(networks, blocks, hswish)
    folds = cross_validate(networks, blocks, by_family)
    spread = make_spread(networks, blocks, folds)
    checks = held_back(HERE / "held_back.yaml", records)
    tables = [
        make_table(device, year, make_model(records, per_count), folds, spread)
        for device, year, per_count in coefficients(fitted, networks)
    ]
    heading = "written by: python -m experiments.fit_pixel1.run --data ../shared/data/pixel1"
    for table in tables:
        build, _, _ = table.runtime.partition(",")
        title = f"{table.device} CPU, fitted to published latencies ({build}, float32)"
        path = options.tables / f"{table.name}.yaml"
        write_table(table, path, heading=f"{title}\n{heading}")
    rows = judge(checks, tables)
    result = make_result(fitted, networks, blocks, folds, rows)
    write_text(options.out / "result.yaml", f"# {heading}\n{to_yaml(result)}")
    plot(folds, rows, options.out / "predicted_vs_published.png")
    print(to_yaml({"cross_validation": result["cross_validation"], "held_back": rows["summary"]}))


digits = partial(significant, digits=5)


def make_model(records: Sequence[Mapping[str, Any]], per_count: Mapping[str, float]) -> OpModel:
    sides = [record["resolution"] for record in records]
    return OpModel(
        coefficients=per_count,
        assumed={"swish": "was never measured here; it counts like unoptimised h-swish"},
        ranges=ranges(records),
        resolution=(min(sides), max(sides)),
    )


def coefficients(
    fitted: Fit, networks: Sequence[Row]
) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """Yield device, year and coefficients of each table.

    Those of 2019 are those of 2018 times the factor that makes MobileNetV2 exact.
    """
    anchor = next(row for row in networks if row.name == ANCHOR)
    reference = fitted.ms(anchor) / fitted.factors[anchor.build]
    shared = {name: digits(ns) for name, ns in fitted.coefficients.items()}
    plain, optimised = fitted.hswish.plain, fitted.hswish.optimised
    # h-swish is known in nanoseconds of the Pixel 1 in 2019, to which the factor is applied
    of_pixel1 = ANCHOR_MS["pixel1"] / reference
    hswish = {"hswish": digits(optimised / of_pixel1), "swish": digits(plain / of_pixel1)}
    for device, ms in ANCHOR_MS.items():
        factor = digits(ms / reference)
        yield device, "2019", {k: ns * factor for k, ns in {**shared, **hswish}.items()}
    yield "pixel1", "2018", {**shared, "hswish": digits(plain), "swish": digits(plain)}


def known(folds: Sequence[Residual]) -> list[Residual]:
    """Exclude networks whose runtime occurs in no other group."""
    return [fold for fold in folds if fold.runtime_known]


def make_spread(
    networks: Sequence[Row], blocks: Sequence[Row], folds: Sequence[Residual]
) -> Spread:
    judged = known(folds)
    large = [fold for fold in judged if fold.row.resolution >= LARGE]
    small = [fold for fold in judged if fold.row.resolution < LARGE]
    beyond = [
        *extrapolate(networks, blocks, lambda row: "-1.4-" in row.name),
        *extrapolate(networks, blocks, lambda row: row.resolution > 192 and row.family != "blocks"),
    ]
    hswish = measure_hswish(networks)
    return Spread(
        coverage=COVERAGE,
        covered=round(covered(judged, COVERAGE), 3),
        relative=round(quantile(large, COVERAGE), 3),
        relative_small=round(quantile(small, COVERAGE), 3),
        small_below=LARGE,
        # at best, swish gets a kernel as good as that of h-swish
        assumed=round(1 - hswish.optimised / hswish.plain, 2),
        outside=round(max(r.surprise for r in beyond if r.runtime_known), 3),
    )


def make_table(
    device: str,
    year: str,
    model: OpModel,
    folds: Sequence[Residual],
    spread: Spread,
) -> LatencyTable:
    judged = known(folds)
    note, widened = "", spread
    if device != "pixel1":
        note = "cross-validated on Pixel 1; one network, MobileNetV2, ties this device to it"
        widened = _widen(spread)
    return LatencyTable(
        name=table_name(device, year),
        device=f"Google Pixel {device[-1]}",
        core=CORES[device],
        runtime=RUNTIMES[year],
        threads=1,
        dtype="float32",
        sources=tuple(SOURCES),
        weak=tuple(WEAK),
        error=TableError(
            scheme="leave one family of networks out",
            networks=len(judged),
            mean=round(fmean(abs(r.error) for r in judged), 4),
            mean_large=round(fmean(abs(r.error) for r in judged if r.row.resolution >= LARGE), 4),
            worst=round(max(abs(r.error) for r in judged), 4),
            note=note,
        ),
        spread=widened,
        model=model,
    )


def table_name(device: str, year: str) -> str:
    return device if year == "2019" else f"{device}_{year}"


def _widen(spread: Spread) -> Spread:
    values = {name: getattr(spread, name) for name in Spread.__slots__}
    for name in ("relative", "relative_small"):
        values[name] = round(float(np.hypot(values[name], TRANSFER)), 3)
    return Spread(**values)


def judge(checks: Sequence[Check], tables: Sequence[LatencyTable]) -> dict[str, Any]:
    """Compare the tables with held-out networks."""
    by_name = {table.name: table for table in tables}
    rows: list[dict[str, Any]] = []
    for check in checks:
        name = table_name(check.device, check.year)
        latency = by_name[name].predict(check.arch)
        rows.append(
            {
                "network": check.name,
                "table": name,
                "published_ms": check.ms,
                "predicted_ms": round(latency.ms, 2),
                "error_percent": round(100 * (latency.ms / check.ms - 1), 1),
                "inside_interval": bool(latency.low_ms <= check.ms <= latency.high_ms),
                "source": check.source,
            }
        )
    return {
        "summary": {
            table: _summary([row for row in rows if row["table"] == table])
            for table in sorted({row["table"] for row in rows})
        },
        "networks": rows,
    }


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    errors = [abs(row["error_percent"]) for row in rows]
    return {
        "networks": len(rows),
        "mean_percent": round(fmean(errors), 2),
        "worst_percent": max(errors),
        "inside_interval": sum(row["inside_interval"] for row in rows),
    }


def _errors(folds: Sequence[Residual]) -> dict[str, Any]:
    errors = [100 * fold.error for fold in folds]
    worst = max(errors, key=abs)
    return {
        "networks": len(errors),
        "mean_percent": round(fmean(map(abs, errors)), 2),
        "bias_percent": round(fmean(errors), 2),
        "worst_percent": round(worst, 1),
    }


def make_result(
    fitted: Fit,
    networks: Sequence[Row],
    blocks: Sequence[Row],
    folds: Sequence[Residual],
    rows: Mapping[str, Any],
) -> dict[str, Any]:
    judged = known(folds)
    width = known(cross_validate(networks, blocks, by_width))
    side = known(cross_validate(networks, blocks, by_resolution))
    return {
        "schema": 1,
        "coefficients_ns": {name: digits(ns) for name, ns in fitted.coefficients.items()},
        "hswish_ns": {
            "plain": digits(fitted.hswish.plain),
            "optimised": digits(fitted.hswish.optimised),
        },
        "runtime_factors": {name: digits(value) for name, value in fitted.factors.items()},
        "cross_validation": {
            "one family left out, all": _errors(folds),
            "one family left out, runtime known": _errors(judged),
            "one family left out, from 160 px": _errors(
                [fold for fold in judged if fold.row.resolution >= LARGE]
            ),
            "one family left out, below 160 px": _errors(
                [fold for fold in judged if fold.row.resolution < LARGE]
            ),
            "one width left out": _errors(width),
            "one resolution left out": _errors(side),
            "share inside 90 % intervals of the other families": round(
                covered(judged, COVERAGE), 3
            ),
        },
        "by_family": {
            family: _errors([fold for fold in folds if fold.group == family]) for family in FAMILIES
        },
        "fitted": {
            "networks_mean_percent": round(
                100 * fmean(abs(fitted.ms(row) / row.ms - 1) for row in networks), 2
            ),
            "blocks_mean_percent": round(
                100 * fmean(abs(fitted.ms(row) / row.ms - 1) for row in blocks), 2
            ),
        },
        "held_back": rows["summary"],
        "held_back_networks": rows["networks"],
    }


def plot(folds: Sequence[Residual], rows: Mapping[str, Any], path: Path) -> None:
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for family in FAMILIES:
        left_out = [fold for fold in folds if fold.group == family]
        _points(axes[0], [f.row.ms for f in left_out], [f.predicted for f in left_out], family)
    axes[0].set_title("Pixel 1, each family predicted by a fit of the others")
    for table in rows["summary"]:
        group = [r for r in rows["networks"] if r["table"] == table]
        published = [r["published_ms"] for r in group]
        _points(axes[1], published, [r["predicted_ms"] for r in group], table)
    axes[1].set_title("Networks kept out of the fit")
    for axis in axes:
        _finish(axis)
    save(figure, path, dpi=110)


def _points(axis: Any, published: Sequence[float], predicted: Sequence[float], label: str) -> None:
    mean = fmean(abs(b / a - 1) for a, b in zip(published, predicted, strict=True))
    axis.scatter(published, predicted, s=28, alpha=0.8, label=f"{label} ({100 * mean:.1f} %)")


def _finish(axis: Any) -> None:
    ends = np.array([4.0, 170.0])
    axis.plot(ends, ends, color="0.3", linewidth=1)
    axis.fill_between(ends, 0.9 * ends, 1.1 * ends, color="0.85", zorder=0, label="within 10 %")
    axis.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    ticks = [5, 10, 20, 50, 100]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.set_yticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.set(xlabel="published ms", ylabel="predicted ms", aspect="equal")
    axis.legend(fontsize=8, loc="upper left", title="mean absolute error", title_fontsize=8)


if __name__ == "__main__":
    main()
