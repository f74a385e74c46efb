"""Write what run.py has done so far: a table, result.yaml and a picture; and measure latencies."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.own_data.finding import TABLE
from experiments.shared.results import BLUE, GREEN, GREY, OCHRE, RED, circumstances, save
from nas.core.data import read_mapping, to_yaml
from nas.core.files import write_text
from nas.latency.file import load_table
from nas.latency.measure.compare import compare
from nas.latency.measure.make import target_of
from nas.latency.measure.plan import plan_check
from nas.latency.measure.references import references_of
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import measure_plan
from nas.network.zoo import load_architecture

Record = Mapping[str, Any]
WAYS = {
    "supernet": "(a) supernet",
    "inherits": "(a) trained on from the shared weights",
    "proxy": "(b) proxy",
    "predictor": "(c) ImageNet predictor",
    "random": "(d) random",
    "zoo": "(e) zoo, nearest",
    "zoo others": "(e) zoo, other families",
}
COLOURS = {
    "supernet": BLUE, "inherits": "#7fb2de", "proxy": OCHRE, "predictor": GREEN,
    "random": GREY, "zoo": RED, "zoo others": "#e39b8a",
}  # fmt: skip
MEASURED = "measured.json"
ROUNDS = 16


def write(records: Sequence[Record], to: Path, runs: Path) -> None:
    """Write result.yaml and accuracy.png into the folder `to`.

    Rows that are there of other data sets stay.
    """
    content = rows(records, _measured(runs))
    if not content:
        return
    content = [*_others(to / "result.yaml", {one["data"] for one in content}), *content]
    made = {"schema": 1, "rows": content, **circumstances(("torch", "numpy", "onnxruntime"))}
    write_text(to / "result.yaml", to_yaml(made))
    write_text(to / "table.txt", table(content))
    _draw(content, to / "accuracy.png")


def _others(path: Path, names: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows in an earlier result of data sets that are not among `names`."""
    earlier = read_mapping(path)["rows"] if path.is_file() else []
    return [dict(one) for one in earlier if one["data"] not in names]


def rows(records: Sequence[Record], measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row for each data set, limit and way with a training."""
    found = {_network(one): one for one in records if "file" in one}
    shared = {one["data"]: one["cpu_seconds"] for one in records if one.get("what") == "supernet"}
    limits = {(one["data"], one["limit_ms"]) for one in found.values()}
    groups: dict[tuple[str, float, str], list[Record]] = {}
    for one in records:
        if "top1" in one:
            groups.setdefault((one["data"], one["limit_ms"], _way(one)), []).append(one)
    order = list(WAYS)
    made = []
    for (data, ms, way), done in sorted(
        groups.items(), key=lambda g: (*g[0][:2], order.index(g[0][2]))
    ):
        networks = [found[key] for key in dict.fromkeys(map(_network, done))]
        search = float(np.sum([one["cpu_seconds"] for one in networks]))
        if way in ("supernet", "inherits"):
            search += shared[data] / len([d for d, _ in limits if d == data])
        made.append(
            {"data": data, "limit_ms": ms, "way": way}
            | _accuracy(done)
            | _latency(networks, measured)
            | _cost(done, 0.0 if way in ("random", "zoo", "zoo others") else search)
        )
    return made


def _way(one: Record) -> str:
    if one["way"] == "zoo":
        return "zoo others" if one["number"] else "zoo"
    return "inherits" if one["inherits"] else str(one["way"])


def _network(one: Record) -> tuple[Any, ...]:
    return one["data"], one["limit_ms"], one["way"], one["number"]


def _accuracy(done: Sequence[Record]) -> dict[str, Any]:
    """Return the mean over networks, and its standard error over trainings."""
    top1 = np.array([one["top1"] for one in done])
    error = top1.std(ddof=1) / len(top1) ** 0.5 if len(top1) > 1 else float("nan")
    return {
        "networks": len({_network(one) for one in done}),
        "trainings": len(done),
        "top1": round(float(top1.mean()), 4),
        "error": None if np.isnan(error) else round(float(error), 4),
        "each": [float(v) for v in top1],
    }


def _latency(networks: Sequence[Record], measured: Mapping[str, float]) -> dict[str, Any]:
    known = [measured[one["file"]] for one in networks if one["file"] in measured]
    return {
        "names": [one["name"] for one in networks if one["name"]],
        "macs_m": round(float(np.mean([one["macs"] for one in networks])) / 1e6, 2),
        "table_ms": round(float(np.mean([one["table_ms"] for one in networks])), 3),
        "measured_ms": round(float(np.mean(known)), 3) if known else None,
    }


def _cost(done: Sequence[Record], search: float) -> dict[str, Any]:
    """Return processor seconds of the search, of a training, and both in hours."""
    training = float(np.mean([one["cpu_seconds"] for one in done]))
    return {
        "search_seconds": round(search, 1),
        "training_seconds": round(training, 1),
        "total_hours": round((search + training) / 3600, 3),
    }


def table(content: Sequence[Record]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [
        "| data, limit | way | top-1 (standard error) | trainings | MACs (M) "
        "| table, measured (ms) | search + training (CPU h) |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in content:
        error = "" if one["error"] is None else f" ({100 * one['error']:.1f})"
        here = "-" if one["measured_ms"] is None else f"{one['measured_ms']:.2f}"
        lines.append(
            f"| {one['data']}, {one['limit_ms']:g} ms | {WAYS[one['way']]} | "
            f"{100 * one['top1']:.1f}{error} | {one['trainings']} | {one['macs_m']:.1f} | "
            f"{one['table_ms']:.2f}, {here} | {one['total_hours']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def measure(records: Sequence[Record], runs: Path) -> None:
    """Measure all networks found on this machine beside the references of the table."""
    files = sorted({one["file"]: one for one in records if "file" in one})
    archs = [load_architecture(runs / file) for file in files]
    known = load_table(TABLE)
    target, plan = target_of(known), plan_check("own_data", archs, references=references_of(known))
    rounds = Rounds(least=ROUNDS, most=ROUNDS)
    path = runs / "samples.jsonl"
    path.unlink(missing_ok=True)
    samples, _ = measure_plan(plan, target, path, rounds=rounds)
    checked = compare(known, plan, archs, samples, target)
    found = {file: one.measured_ms for file, one in zip(files, checked, strict=True)}
    write_text(runs / MEASURED, json.dumps(found, indent=1) + "\n")
    for file, one in zip(files, checked, strict=True):
        print(file, f"{one.measured_ms:.3f}", f"{one.error:+.1%}" if one.error else "")
    print("\n".join(checked[0].notes))


def _measured(runs: Path) -> dict[str, float]:
    path = runs / MEASURED
    found: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def _draw(content: Sequence[Record], path: Path) -> None:
    """Draw the accuracies over the latencies, a panel for each data set."""
    names = list(dict.fromkeys(one["data"] for one in content))
    figure = Figure(figsize=(4.6 * len(names) + 2.2, 4.2), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        own = [one for one in content if one["data"] == name]
        for way in WAYS:
            mine = [one for one in own if one["way"] == way]
            if mine:
                ms = [one["measured_ms"] or one["table_ms"] for one in mine]
                top1 = [100 * one["top1"] for one in mine]
                error = [100 * (one["error"] or 0) for one in mine]
                axes.errorbar(
                    ms, top1, error, fmt="o", capsize=3, color=COLOURS[way], label=WAYS[way]
                )
        axes.set_title(name)
        kind = "measured" if all(one["measured_ms"] for one in own) else "by the table"
        axes.set_xlabel(f"latency, {kind} (ms)")
        axes.set_ylabel("top-1 (%), mean and standard error")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)
