"""The front of a stored search as plain data: columns, rows, known networks, all trials."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.searching.metrics import FRACTIONS, HIGHER_IS_BETTER
from nas.searching.problem import Trials
from nas.searching.runs.result import StoredResult
from nas.searching.runs.stored import StoredRun
from nas.searching.runs.stored_front import StoredFront

MAX_TRIALS = 3000
"""Of more trials, so many are drawn, evenly in the order in which they were told."""
_DIGITS, _SLOWER = 6, 1.5
_USUAL = ("latency_ms", "macs", "params")
_NOT_SHOWN = ("name", "fingerprint", "trial", "best", "picks", "gain_deviation")
_NEVER_AN_AXIS = ("_deviation", "_outside", "_low_ms", "_high_ms")
MEASURED_MS = "measured_ms"
"""What a solution took end to end, where it was measured."""
_UNITS = {
    "latency_ms": ("latency ms", 1.0, None),
    MEASURED_MS: ("measured ms", 1.0, None),
    "macs": ("MACs M", 1e-6, 1),
    "params": ("params M", 1e-6, 2),
}
_WORDS = {
    "latency_ms": "predicted latency (ms)",
    MEASURED_MS: "measured latency (ms)",
    "macs": "MACs (millions)",
    "params": "parameters (millions)",
}


def axis_of(metric: str) -> tuple[str, float]:
    """Return the title of an axis for a metric, and what its values are multiplied by."""
    if metric in FRACTIONS:
        return f"{metric} (%)", 100.0
    return _WORDS.get(metric, metric), _UNITS[metric][1] if metric in _UNITS else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontView:
    """What is shown of a stored run: its front, result, and the networks that are drawn.

    `metric` is the name of the accuracy; `networks` are those of `nas.report.network_data`.
    """

    run: StoredRun
    front: StoredFront
    result: StoredResult
    metric: str
    networks: Mapping[str, Any]


def metric_of_run(run: StoredRun, result: StoredResult, front: StoredFront) -> str:
    """Return the name of the accuracy of a run: by its result, its front or its trials."""
    named = [key for row in front.rows[:1] for key in row if f"{key}_deviation" in row]
    fractions = [key for key in run.trials.metrics if key in FRACTIONS and "lcb" not in key]
    others = [o.metric for o in run.objectives if o.metric not in _USUAL]
    return next(iter([*filter(None, [result.metric]), *named, *fractions, *others]), "")


def front_data(view: FrontView) -> dict[str, Any]:
    """Return what the page needs to draw and list a front, as `assets/front.js` reads it."""
    run, rows = view.run, view.front.rows
    columns = _columns(view)
    x, y = axes_of([o.metric for o in run.objectives], view.metric)
    x, y = _there(x, columns, "latency_ms"), _there(y, columns, view.metric)
    best = next((row["name"] for row in rows if row.get("best")), None)
    baseline = view.result.baseline
    return {
        "columns": columns,
        "x": x,
        "y": y,
        "first": _first(y, view),
        "log": x == "latency_ms",
        "pair": [x, y] if len(run.objectives) == 2 else [],
        "title": f"found: {len(rows):,} networks",
        "front": _table(rows, [*_TEXT_COLUMNS, *_keys(rows)]),
        "choices": _choices(view),
        "known": _known(view),
        "baseline": baseline["name"] if baseline else None,
        "trials": _cloud(run.trials, [column["key"] for column in columns]),
        "limits": [{"key": c.metric, "value": c.value} for c in run.constraints],
        "run": shlex.quote(str(run.out)) if view.front.is_written else None,
        "chosen": best or (rows[len(rows) // 2]["name"] if rows else None),
        "networks": view.networks,
        "undrawn": "This network is not drawn here; nas show draws it.",
    }


_TEXT_COLUMNS = ("name", "fingerprint", "trial")


def axes_of(objectives: Sequence[str], metric: str) -> tuple[str, str]:
    """Return the metrics on the axes of a front: x the cost, y the accuracy, if that is decided.

    A lower bound of the accuracy is shown by the accuracy itself, which has an interval.
    """
    shown = list(dict.fromkeys(metric if o == f"{metric}_lcb" else o for o in objectives))
    if not shown:
        return "latency_ms", metric
    if len(shown) == 1:
        return ("latency_ms", metric) if shown[0] in (metric, "latency_ms") else (
            "latency_ms", shown[0])  # fmt: skip
    y = metric if metric in shown else _accuracy_like(shown)
    rest = [o for o in shown if o != y]
    return ("latency_ms" if "latency_ms" in rest else rest[0]), y


def _accuracy_like(metrics: Sequence[str]) -> str:
    """Return the metric that belongs on the vertical axis: no cost, or no latency."""
    others = [m for m in metrics if m not in _USUAL] or [m for m in metrics if m != "latency_ms"]
    return others[0] if others else metrics[0]


def _first(key: str, view: FrontView) -> str:
    """Return which values of a column come first in the table."""
    signs = {o.metric: o.sign for o in view.run.objectives}
    larger = key in HIGHER_IS_BETTER if key not in signs else signs[key] < 0
    return "largest" if larger else "smallest"


def _there(wanted: str, columns: Sequence[Mapping[str, Any]], other: str) -> str:
    keys = [str(column["key"]) for column in columns]
    return next((k for k in (wanted, other) if k in keys), keys[0] if keys else wanted)


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of numbers in some rows, without names and choices."""
    found = dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value))
    return [key for key in found if key not in _NOT_SHOWN]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _columns(view: FrontView) -> list[dict[str, Any]]:
    """Return what is said of every column: its texts, its scale, its interval."""
    choices = {column.name for column in view.run.space.columns}
    found = [k for k in _keys(view.front.rows) if k not in choices]
    if not found:
        found = list(view.run.trials.metrics)
    keys = [k for k in found if not k.endswith(_NEVER_AN_AXIS)]
    wanted = [o.metric for o in view.run.objectives] + [c.metric for c in view.run.constraints]
    judged = f"{view.metric}_judged"
    main = [view.metric, judged, "gain", "latency_ms", MEASURED_MS, *_USUAL[1:], *wanted]
    order = sorted(keys, key=lambda key: main.index(key) if key in main else len(main))
    return [{**_column(key, view), "minor": key not in main} for key in order]


def _column(key: str, view: FrontView) -> dict[str, Any]:
    label, scale, digits = _UNITS.get(key, (key, 1.0, None))
    fraction = view.metric in FRACTIONS
    base = view.result.baseline
    if key in FRACTIONS or (fraction and key in ("gain", f"{view.metric}_judged")):
        name = f"vs {base['name']}" if key == "gain" and base else key
        label, scale, digits = f"{name} %" if key != "gain" else f"{name}, points", 100.0, 2
    axis = _WORDS.get(key, label.replace(" %", " (%)"))
    ends = {"deviation": f"{key}_deviation"} if key == view.metric else {}
    if key in ("latency_ms", MEASURED_MS):
        stem = key.removesuffix("_ms")
        ends = {"low": f"{stem}_low_ms", "high": f"{stem}_high_ms"}
    return {"key": key, "label": label, "axis": axis, "scale": scale, "digits": digits, **ends}


def _table(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, list[Any]]:
    return {key: [row.get(key) for row in rows] for key in dict.fromkeys(keys)}


def _choices(view: FrontView) -> dict[str, Any]:
    """Return the choices of every solution: the values of each, and the number of one of them."""
    columns, picks = view.run.space.columns, view.run.trials.picks[list(view.front.numbers)]
    return {
        column.name: {"values": list(map(str, column.values)), "codes": picks[:, i].tolist()}
        for i, column in enumerate(columns)
    }


def _known(view: FrontView) -> dict[str, list[Any]] | None:
    """Return the known networks, at their published accuracy where that is the metric's scale.

    Those much slower than the front are left out.
    """
    metric, rows = view.metric, []
    slowest = max((row.get("latency_ms") or 0.0 for row in view.front.rows), default=0.0)
    for one in view.result.known:
        if one["latency_ms"] > _SLOWER * slowest:
            continue
        published = one.get("published") if metric == "top1" else None
        value = published if published is not None else one.get(metric)
        origin = "as published" if published is not None else "predicted alike"
        deviation = None if published is not None else one.get(f"{metric}_deviation")
        if value is None and metric in FRACTIONS:
            origin = "without an accuracy on this scale"
        rows.append({**one, metric: value, f"{metric}_deviation": deviation, "origin": origin,
                     "inside": one.get("picks") is not None})  # fmt: skip
    return _table(rows, ["name", "origin", "inside", *_keys(rows)]) if rows else None


def _cloud(trials: Trials, keys: Sequence[str]) -> dict[str, Any] | None:
    """Return the metrics of all feasible trials, rounded, of many only some."""
    numbers = np.flatnonzero(trials.ok)
    if not len(numbers):
        return None
    shown = numbers
    if len(numbers) > MAX_TRIALS:
        shown = numbers[np.linspace(0, len(numbers) - 1, MAX_TRIALS).round().astype(int)]
    some = f"{len(shown):,} of " if len(shown) < len(numbers) else ""
    columns = {
        key: [float(f"{value:.{_DIGITS}g}") for value in trials.metrics[key][shown].tolist()]
        for key in keys
        if key in trials.metrics
    }
    return {"text": f"{some}{len(numbers):,} feasible trials", **columns}


def networks_of(seen_front: StoredFront, run: StoredRun, most: int) -> dict[str, int]:
    """Return the trials of at most `most` solutions to draw, by name, spread evenly; the best too.

    They are in the order of the front.
    """
    rows = seen_front.rows
    wanted = set(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int).tolist())
    wanted |= {i for i, row in enumerate(rows) if row.get("best")}
    return {str(rows[i]["name"]): seen_front.numbers[i] for i in sorted(wanted)}
