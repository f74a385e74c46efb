"""The output of nas netadapt: a line for every round, and the result."""

from nas.latency.measure.speedup import Speedup
from nas.latency.table import LatencyTable
from nas.network.checkpoint import metric_of
from nas.pruning.netadapt import Point, Result, Round
from nas.report.tables import Table

_OVERFITTED = 0.03


def round_text(one: Round, *, metric: str = "top1") -> str:
    """Return one line about a round."""
    choice, point = one.choice, one.point
    failed = sum(not tried.point for tried in one.tried)
    return (
        f"round {one.number}: {point.latency_ms:.4g} ms, {choice.group} from {choice.was} to "
        f"{choice.width}, hold-out {metric} {point.held_out:.4f}, {len(one.tried)} tried"
        + (f", {failed} failed" if failed else "")
    )


def speedup_text(speedup: Speedup) -> str:
    """Return one line about the measured speedup."""
    low, high = speedup.interval
    return (
        f"measured: {speedup.factor:.2f} times as fast ({low:.2f} - {high:.2f}): "
        f"{speedup.before.ms:.3g} ms -> {speedup.after.ms:.3g} ms with {speedup.runtime}, "
        f"{speedup.threads} thread(s), {speedup.dtype}, on {speedup.cpu}"
    )


def before_and_after(result: Result, table: LatencyTable) -> Table:
    """Return the network before and after as a table, with the fractions that are left."""
    start, best = result.start, result.best
    metric = metric_of(result.arch)
    return Table(
        title=f"{result.arch.name}, {len(result.rounds)} rounds, predicted for {table.device}",
        headings=("", "MACs M", "params M", "predicted ms", f"{metric} %", "test %", "hold-out %"),
        rows=(_row("start", start), _row("best", best), _row_of_shares(start, best)),
    )


def notes(result: Result, table: LatencyTable, speedup: Speedup | None) -> tuple[str, ...]:
    """Return notes about the numbers for readers."""
    found = [f"{result.note}: {result.best.latency_ms:.4g} ms"] if result.note else []
    held, top1 = result.start.held_out or 0.0, result.start.top1 or 0.0
    if held - top1 > _OVERFITTED:
        found.append(
            f"the start was trained on the hold-out images ({metric_of(result.arch)} "
            f"{100 * held:.1f} %, {100 * top1:.1f} % on the validation images): they overrate "
            "proposals"
        )
    if speedup and (table.provenance is None or table.provenance.cpu != speedup.cpu):
        found.append(f"the table is of another device, {table.device}, than was measured on")
    found += [
        f"beyond the table's measurements: {text}"
        for text in table.predict(result.best_arch).outside
    ]
    return tuple(found)


def _row(name: str, point: Point) -> tuple[str, ...]:
    scores = (point.top1, point.test, point.held_out)
    return (
        name,
        f"{point.macs / 1e6:.4g}",
        f"{point.params / 1e6:.4g}",
        f"{point.latency_ms:.4g}",
        *("" if score is None else f"{100 * score:.2f}" for score in scores),
    )


def _row_of_shares(start: Point, best: Point) -> tuple[str, ...]:
    shares = (
        best.macs / start.macs,
        best.params / start.params,
        best.latency_ms / start.latency_ms,
    )
    return ("share left", *(f"{share:.3f}" for share in shares), "", "", "")
