"""Tables for the terminal: a front beside its references, one network block by block."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.cost import cost, cost_of
from nas.network.layers import Unit, lower
from nas.searching.loop import Run
from nas.searching.solutions import FRACTIONS, Member

_FEW_MS = 10
EXTRAPOLATED = "*"
"""Marks an accuracy outside of what its model was fitted on."""
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


def front_table(run: Run, *, references: Sequence[Member] = (), top: int = 20) -> Table:
    """Return a run's front as a table, some `top` members spread evenly over the latency.

    References that the space contains stand among the members: by their latency, or with one
    objective at the end.
    """
    members, extra = run.members, extra_metrics(run)
    known = [r for r in references if r.accuracy is not None]
    if len(run.setup.problem.objectives) > 1:
        shown = spread(members, top, always=highlights(members, run.baseline))
        rows = sorted([*shown, *known], key=lambda member: member.latency.ms)
        title = f"Pareto front: {len(members)} architectures, {len(shown)} shown"
    else:
        rows = [*members[:top], *known]
        title = f"The best architectures by {run.setup.problem.objectives[0].metric}"
    versus = "vs baseline" if run.baseline else "difference"
    return Table(
        title=title,
        headings=(
            "architecture",
            run.setup.accuracy + (" %" if run.setup.accuracy in FRACTIONS else ""),
            versus,
            "latency ms",
            "interval",
            "MACs M",
            "params M",
            *extra,
        ),
        rows=tuple(_front_row(run, member, extra) for member in rows),
        bold=tuple(i for i, member in enumerate(rows) if member.trial is None),
    )


def extra_metrics(run: Run) -> tuple[str, ...]:
    """Return the objectives and limits of a run that a table has no column for otherwise."""
    problem = run.setup.problem
    wanted = [*(o.metric for o in problem.objectives), *(x.metric for x in problem.limits)]
    usual = (run.setup.accuracy, "latency_ms", "macs", "params")
    return tuple(dict.fromkeys(metric for metric in wanted if metric not in usual))


def spread(members: Sequence[Member], top: int, *, always: Sequence[Member] = ()) -> list[Member]:
    """Return some `top` members, evenly over the logarithm of the latency, in their order.

    Those of `always` are among them.
    """
    if len(members) <= top:
        return list(members)
    logs = np.log([member.latency.ms for member in members])
    wanted = np.linspace(logs[0], logs[-1], top)
    nearest = {int(np.abs(logs - place).argmin()) for place in wanted}
    return [m for i, m in enumerate(members) if i in nearest or any(m is one for one in always)]


def ms_text(ms: float) -> str:
    """Return milliseconds with a hundredth where they are few."""
    return f"{ms:.1f}" if ms >= _FEW_MS else f"{ms:.2f}"


def _front_row(run: Run, member: Member, extra: Sequence[str]) -> tuple[str, ...]:
    gain, latency, metric = member.gain(run.baseline), member.latency, run.setup.accuracy
    accuracy = accuracy_text(member.accuracy or 0.0, metric)
    if member.deviation is not None:
        accuracy += f" ±{accuracy_text(member.deviation, metric)}"
    accuracy += EXTRAPOLATED if member.outside else ""
    return (
        member.name,
        accuracy,
        "" if gain is None else gain_text(gain, metric),
        ms_text(latency.ms),
        f"{ms_text(latency.low_ms)} - {ms_text(latency.high_ms)}",
        f"{member.macs / 1e6:.0f}",
        f"{member.params / 1e6:.2f}",
        *(f"{member.metrics[m]:.6g}" if m in member.metrics else "" for m in extra),
    )


def accuracy_text(value: float, metric: str) -> str:
    """Return an accuracy as text: in per cent where the metric is a fraction."""
    return f"{100 * value:.2f}" if metric in FRACTIONS else f"{value:.6g}"


def gain_text(gain: float, metric: str) -> str:
    """Return the difference of two accuracies as text, with its sign; in points of per cent."""
    return f"{100 * gain:+.2f}" if metric in FRACTIONS else f"{gain:+.4g}"


def accuracy_notes(members: Iterable[Member]) -> tuple[str, ...]:
    """Say which accuracies lie outside of what their model was fitted on, as `latency_notes`."""
    return _counted([(member.outside,) if member.outside else () for member in members])


def latency_notes(members: Iterable[Member]) -> tuple[str, ...]:
    """Say what lies outside of the latency table's range, once each, and for how many members."""
    return _counted([member.latency.outside for member in members])


def _counted(reasons: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return every reason once, with how many members have it unless all do."""
    counts = Counter(reason for each in reasons for reason in each)
    return tuple(
        reason if count == len(reasons) else f"{reason} (in {count} of {len(reasons)})"
        for reason, count in counts.items()
    )


def network_table(arch: Architecture, table: LatencyTable) -> Table:
    """Return a network as a table: a row for each block, with its share of the latency."""
    latency, total = table.predict(arch), cost(arch)
    rows = [
        (
            *_block_cells(unit),
            f"{cost_of(unit).macs / 1e6:.1f}",
            f"{cost_of(unit).params / 1e3:.1f}",
            f"{part.ms:.{2 if latency.ms >= _FEW_MS else 3}f}",
            f"{100 * part.ms / latency.ms:.1f}",
        )
        for unit, part in zip(lower(arch), latency.units, strict=True)
    ]
    sums = (f"{total.macs / 1e6:.1f}", f"{total.params / 1e3:.1f}", f"{latency.ms:.2f}", "100.0")
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


def highlights(members: Sequence[Member], baseline: Member | None) -> tuple[Member, ...]:
    """Return the most accurate member no slower than the baseline, and the fastest as accurate.

    As accurate is whose gain is 0 or more after one standard deviation of it is taken off.
    """
    if baseline is None or baseline.accuracy is None:
        return ()
    as_fast = [m for m in members if m.latency.ms <= baseline.latency.ms]
    as_good = [m for m in members if _least_gain(m, baseline) >= 0]
    best = max(as_fast, key=lambda m: m.accuracy or 0.0, default=None)
    fastest = min(as_good, key=lambda m: m.latency.ms, default=None)
    return tuple(member for member in (best, fastest) if member is not None)


def _least_gain(member: Member, baseline: Member) -> float:
    """Return the gain less one standard deviation of it."""
    gain = member.gain(baseline)
    return -inf if gain is None else gain - (member.gain_deviation(baseline) or 0.0)


def headlines(
    members: Sequence[Member], baseline: Member | None, *, accuracy: str
) -> tuple[str, ...]:
    """Say what the front gains over the baseline, at its latency and at its accuracy.

    A predicted gain has its standard deviation, and a last line says whose prediction it is.
    """
    if baseline is None:
        return ()
    shown = highlights(members, baseline)
    lines = [_headline(member, baseline, accuracy) for member in shown]
    if any(member.gain_deviation(baseline) is not None for member in shown):
        lines.append(OPTIMISM)
    return tuple(dict.fromkeys(lines))


def _headline(member: Member, baseline: Member, accuracy: str) -> str:
    gain, spread = member.gain(baseline) or 0.0, member.gain_deviation(baseline)
    saved = 1 - member.latency.ms / baseline.latency.ms
    within = "" if spread is None else f" ±{accuracy_text(spread, accuracy)}"
    unit = "points of " if accuracy in FRACTIONS else ""
    return (
        f"{member.name} against {baseline.name}: {gain_text(gain, accuracy)}{within} {unit}"
        f"{accuracy}, {ms_text(member.latency.ms)} against {ms_text(baseline.latency.ms)} ms "
        f"({100 * abs(saved):.0f} % {'less' if saved >= 0 else 'more'})"
    )
