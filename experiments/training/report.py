"""Write what run.py measured as a table, a picture and result.yaml."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.shared.results import BLUE, GREY, RED, circumstances, save
from experiments.training.plain import PLAIN
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.jsonl import parse

HERE = Path(__file__).resolve().parent
Tops = Mapping[str, Mapping[int, float]]
"""Accuracies by training method and seed."""


def write(measured: Path) -> None:
    """Write result.yaml and compared.png, and print a table."""
    cases: dict[tuple[str, str, int], dict[str, dict[int, float]]] = {}
    for record in _records(measured):
        case = (record["epochs"], record["network"], record["data"])
        cases.setdefault(case, {}).setdefault(record["way"], {})[record["seed"]] = record["top1"]
    rows = [_row(case, tops) for case, tops in sorted(cases.items()) if "auto" in tops]
    content = {
        "schema": 1, "summary": _summary(rows), "cases": rows, **circumstances(("torch",))
    }  # fmt: skip
    write_text(HERE / "result.yaml", to_yaml(content))
    print(_table(rows))
    _draw(rows, HERE / "compared.png")


def _records(folder: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        yield from parse(path.read_bytes(), source=path.name)[0]


def _row(case: tuple[Any, ...], tops: Tops) -> dict[str, Any]:
    """Return by how many points `auto` exceeds the best plain loop of a case."""
    first = {way: tops[way][0] for way in PLAIN if 0 in tops.get(way, {})}
    best = max(first, key=lambda way: first[way])
    seeds = sorted(set(tops["auto"]) & set(tops[best]))
    mean = {
        way: 100 * float(np.mean([tops[way][s] for s in seeds]))
        for way in ("auto", "quick", best)
        if set(seeds) <= set(tops.get(way, {}))
    }
    return {
        **dict(zip(("epochs", "network", "data"), case, strict=True)),
        "seeds": len(seeds),
        "plain_ways": len(first),
        "best_plain": best,
        "top1": {way: round(value, 2) for way, value in mean.items()},
        "auto_minus_best_plain": round(mean["auto"] - mean[best], 2),
    }


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    gains = [row["auto_minus_best_plain"] for row in rows]
    return {
        "cases": len(rows),
        "mean_of_auto_minus_best_plain": round(float(np.mean(gains)), 2),
        "lowest": min(gains),
        "highest": max(gains),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| epochs | network | data | best plain way | it | `auto` | `quick` | seeds |",
        "|---:|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        top1 = row["top1"]
        quick = f"{top1['quick']:.1f}" if "quick" in top1 else ""
        lines.append(
            f"| {row['epochs']} | {row['network']} | {row['data']} | {row['best_plain']} | "
            f"{top1[row['best_plain']]:.1f} | {top1['auto']:.1f} | {quick} | {row['seeds']} |"
        )
    return "\n".join(lines)


def _draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw a line for every case, relative to its best plain loop."""
    figure = Figure(figsize=(8, 0.3 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        plain = row["top1"][row["best_plain"]]
        for way, color in (("quick", GREY), ("auto", BLUE)):
            if way in row["top1"]:
                axes.plot(row["top1"][way] - plain, place, "o", color=color, label=way)
    axes.axvline(0, color=RED, label="best plain loop")
    axes.set_yticks(
        range(len(rows)), [f"{r['network']}, {r['data']}, {r['epochs']}" for r in reversed(rows)]
    )
    axes.set_xlabel("top-1 above the best plain loop (points)")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=3)
    save(figure, path)
