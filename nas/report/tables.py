"""Tables for the terminal: a front beside known architectures, one network block by block."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import fsum, inf

import numpy as np

from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.cost import cost, cost_of
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.searching.loop import Run
from nas.searching.metrics import FRACTIONS
from nas.searching.solutions import Solution

_FEW_MS = 10
EXTRAPOLATED = "*"
"""Marks an accuracy outside the range that its model was fitted on."""
OPTIMISM = (
    "± is one standard deviation by the model that guided the search; a search favours what its "
    "model overrates, so expect less"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A title, headings, and rows of texts; `bold` are the numbers of rows to stress."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: tuple[int, ...] = ()


def front_table(run: Run, *, known: Sequence[Solution] = (), top: int = 20) -> Table:
    """Return a run's front as a table, some `top` solutions spread evenly over the latency.

    Known architectures that the space contains stand among them, and on the published scale the
    others too: by their latency, or with one objective at the end.
    """
    solutions, extra = run.solutions, extra_metrics(run)
    judged = [k for k in known if k.accuracy is not None or _is_near(run, k)]
    if len(run.setup.problem.objectives) > 1:
        shown = spread(solutions, top, always=highlights(solutions, run.baseline))
        rows = sorted([*shown, *judged], key=lambda solution: solution.latency.ms)
        title = f"Pareto front: {len(solutions)} architectures, {len(shown)} shown"
    else:
        rows = [*solutions[:top], *(k for k in judged if k.accuracy is not None)]
        title = f"The best architectures by {run.setup.problem.objectives[0].metric}"
    columns = _columns(run, rows, extra)
    return Table(
        title=title,
        headings=tuple(columns),
        rows=tuple(tuple(text(row) for text in columns.values()) for row in rows),
        bold=tuple(i for i, solution in enumerate(rows) if solution.trial is None),
    )


def _columns(
    run: Run, rows: Sequence[Solution], extra: Sequence[str]
) -> Mapping[str, Callable[[Solution], str]]:
    """Return the text of a solution in every column of a front, by the heading."""
    metric, base = run.setup.accuracy, run.baseline
    columns: dict[str, Callable[[Solution], str]] = {
        "architecture": lambda s: s.name,
        **({"dtype": lambda s: s.dtype} if any(row.dtype for row in rows) else {}),
        _heading(metric): lambda s: _predicted(s, metric),
    }
    if any(row.judged is not None for row in rows):
        columns["judged %"] = lambda s: _or_nothing(s.judged, metric)
    if metric == "top1" and any(row.published is not None for row in rows):
        columns["published %"] = lambda s: _or_nothing(s.published, metric)
    columns |= {
        "vs baseline" if base else "difference": lambda s: _gain(s, base, metric),
        "latency ms": lambda s: ms_text(s.latency.ms),
        "interval": lambda s: f"{ms_text(s.latency.low_ms)} - {ms_text(s.latency.high_ms)}",
        "MACs M": lambda s: f"{s.macs / 1e6:.0f}",
        "params M": lambda s: f"{s.params / 1e6:.2f}",
    }
    for name in extra:
        columns[_heading(name)] = partial(_metric_text, metric=name)
    return columns


def _is_near(run: Run, known: Solution) -> bool:
    """Return whether a known architecture's published accuracy says something beside the front."""
    slowest = max((s.latency.ms for s in run.solutions), default=0.0)
    comparable = run.setup.accuracy == "top1" and known.published is not None
    return comparable and known.latency.ms <= slowest


def extra_metrics(run: Run) -> tuple[str, ...]:
    """Return the metrics of objectives and constraints that have no column otherwise."""
    problem = run.setup.problem
    wanted = [*(o.metric for o in problem.objectives), *(x.metric for x in problem.limits)]
    usual = (run.setup.accuracy, "latency_ms", "macs", "params")
    return tuple(dict.fromkeys(metric for metric in wanted if metric not in usual))


def spread(
    solutions: Sequence[Solution], top: int, *, always: Sequence[Solution] = ()
) -> list[Solution]:
    """Return some `top` solutions, evenly over the logarithm of the latency, in their order.

    Those of `always` are among them.
    """
    if len(solutions) <= top:
        return list(solutions)
    logs = np.log([solution.latency.ms for solution in solutions])
    wanted = np.linspace(logs[0], logs[-1], top)
    nearest = {int(np.abs(logs - place).argmin()) for place in wanted}
    return [s for i, s in enumerate(solutions) if i in nearest or any(s is one for one in always)]


def ms_text(ms: float) -> str:
    """Return milliseconds with a hundredth where they are few, a thousandth below one."""
    return f"{ms:.1f}" if ms >= _FEW_MS else f"{ms:.2f}" if ms >= 1 else f"{ms:.3f}"


def _heading(metric: str) -> str:
    return metric + (" %" if metric in FRACTIONS else "")


def _predicted(solution: Solution, metric: str) -> str:
    """Return an accuracy with its deviation, and a mark where it is extrapolated."""
    if solution.accuracy is None:
        return ""
    spread = solution.deviation
    within = "" if spread is None else f" ±{accuracy_text(spread, metric)}"
    mark = EXTRAPOLATED if solution.outside else ""
    return accuracy_text(solution.accuracy, metric) + within + mark


def _gain(solution: Solution, baseline: Solution | None, metric: str) -> str:
    gain = solution.gain(baseline)
    return "" if gain is None else gain_text(gain, metric)


def _metric_text(solution: Solution, metric: str) -> str:
    return _or_nothing(solution.metrics.get(metric), metric)


def _or_nothing(value: float | None, metric: str) -> str:
    return "" if value is None else accuracy_text(value, metric)


def accuracy_text(value: float, metric: str) -> str:
    """Return an accuracy as text: in per cent where the metric is a fraction."""
    return f"{100 * value:.2f}" if metric in FRACTIONS else f"{value:.6g}"


def gain_text(gain: float, metric: str) -> str:
    """Return the difference of two accuracies as text, with its sign; in percentage points."""
    return f"{100 * gain:+.2f}" if metric in FRACTIONS else f"{gain:+.4g}"


def accuracy_notes(solutions: Iterable[Solution]) -> tuple[str, ...]:
    """Return notes on accuracies outside the range that their model was fitted on."""
    return _counted([(solution.outside,) if solution.outside else () for solution in solutions])


def latency_notes(solutions: Iterable[Solution]) -> tuple[str, ...]:
    """Return notes on what lies outside the latency table's range, for how many solutions."""
    return _counted([solution.latency.outside for solution in solutions])


def _counted(reasons: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return every reason once, with how many solutions have it unless all do."""
    counts = Counter(reason for each in reasons for reason in each)
    return tuple(
        reason if count == len(reasons) else f"{reason} (in {count} of {len(reasons)})"
        for reason, count in counts.items()
    )


def network_table(arch: Architecture, table: LatencyTable) -> Table:
    """Return a network as a table: a row for each block, with its share of the latency."""
    latency, total = table.predict(arch), cost(arch)

    def times(ms: float) -> tuple[str, str]:
        return f"{ms:.{2 if latency.ms >= _FEW_MS else 3}f}", f"{100 * ms / latency.ms:.1f}"

    rows = [
        (
            *_block_cells(unit),
            f"{cost_of(unit).macs / 1e6:.1f}",
            f"{cost_of(unit).params / 1e3:.1f}",
            *times(part.ms),
        )
        for unit, part in zip(lower(arch), latency.units, strict=True)
    ]
    if table.overhead_ms or table.reload:
        rest = latency.ms - fsum(part.ms for part in latency.units)
        what = "any run, loading weights" if table.reload else "any run"
        rows.append((what, *[""] * 11, *times(rest)))
    sums = (f"{total.macs / 1e6:.1f}", f"{total.params / 1e3:.1f}", *times(latency.ms))
    return Table(
        title=arch.name or arch.fingerprint,
        headings=(
            "block",
            "kind",
            "in CxHxW",
            "out CxHxW",
            "hidden",
            "kernel",
            "stride",
            "SE",
            "act",
            "skip",
            "MACs M",
            "params k",
            f"{table.name} ms",
            "share %",
        ),
        rows=(*rows, ("total", *[""] * 9, *sums)),
        bold=(len(rows),),
    )


def _block_cells(unit: Unit) -> tuple[str, ...]:
    block = unit.block
    return (
        unit.name,
        block.kind,
        "x".join(map(str, unit.in_shape)),
        "x".join(map(str, unit.out_shape)),
        str(block.hidden_channels or ""),
        str(block.kernel) if block.kind not in ("pool", "linear") else "",
        str(block.stride) if block.stride > 1 else "",
        str(block.se_channels or ""),
        block.act if block.kind != "pool" else "",
        {"none": "", "identity": "add"}.get(unit.shortcut, unit.shortcut),
    )


def highlights(solutions: Sequence[Solution], baseline: Solution | None) -> tuple[Solution, ...]:
    """Return the most accurate solution no slower than the baseline, and the fastest as accurate.

    A solution is as accurate if its gain less one standard deviation is 0 or more.
    """
    if baseline is None or baseline.accuracy is None:
        return ()
    solutions = [s for s in solutions if not _is_same(s, baseline)]
    as_fast = [s for s in solutions if s.latency.ms <= baseline.latency.ms]
    as_good = [s for s in solutions if _least_gain(s, baseline) >= 0]
    best = max(as_fast, key=lambda s: s.accuracy or 0.0, default=None)
    fastest = min(as_good, key=lambda s: s.latency.ms, default=None)
    return tuple(solution for solution in (best, fastest) if solution is not None)


def _is_same(solution: Solution, baseline: Solution) -> bool:
    """Return whether a search found the baseline itself."""
    alike = solution.accuracy == baseline.accuracy
    return alike and solution.arch.fingerprint == baseline.arch.fingerprint


def _least_gain(solution: Solution, baseline: Solution) -> float:
    """Return the gain less one standard deviation of it."""
    gain = solution.gain(baseline)
    return -inf if gain is None else gain - (solution.gain_deviation(baseline) or 0.0)


def headlines(
    solutions: Sequence[Solution], baseline: Solution | None, *, accuracy: str
) -> tuple[str, ...]:
    """Return what the front gains over the baseline, at its latency and at its accuracy.

    Where a gain is predicted, with a standard deviation, a last line warns of optimism.
    """
    if baseline is None:
        return ()
    shown = highlights(solutions, baseline)
    lines = [_headline(solution, baseline, accuracy) for solution in shown]
    if any(solution.gain_deviation(baseline) is not None for solution in shown):
        lines.append(OPTIMISM)
    return tuple(dict.fromkeys(lines))


def _headline(solution: Solution, baseline: Solution, accuracy: str) -> str:
    gain, spread = solution.gain(baseline) or 0.0, solution.gain_deviation(baseline)
    saved = 1 - solution.latency.ms / baseline.latency.ms
    within = "" if spread is None else f" ±{accuracy_text(spread, accuracy)}"
    unit = "points of " if accuracy in FRACTIONS else ""
    judged = ""
    if solution.judged is not None and baseline.judged is not None:
        judged = f" (judged: {gain_text(solution.judged - baseline.judged, accuracy)})"
    return (
        f"{solution.name} against {baseline.name}: {gain_text(gain, accuracy)}{within} {unit}"
        f"{accuracy}{judged}, "
        f"{ms_text(solution.latency.ms)} against {ms_text(baseline.latency.ms)} ms "
        f"({100 * abs(saved):.0f} % {'less' if saved >= 0 else 'more'})"
    )
