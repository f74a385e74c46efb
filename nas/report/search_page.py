"""The page of a search, read from its folder alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nas.core.data import flat
from nas.core.errors import NasError
from nas.core.storage import Place
from nas.core.text import counted
from nas.latency.table import Latency
from nas.report.charts import line, scatter
from nas.report.front import MEASURED_MS, FrontView, front_data, metric_of_run, networks_of
from nas.report.network_data import network_data
from nas.report.page import Chart, Page, Part
from nas.report.run_tables import RunTables, tables_of
from nas.report.search_folder import SearchFolder, read_search_folder
from nas.report.table_notes import latency_remarks, notes
from nas.report.tables import EXTRAPOLATED, accuracy_text, gain_text, ms_text
from nas.searching.fronts import progress_of_hypervolume, reference_point, signed
from nas.searching.metrics import FRACTIONS
from nas.searching.runs.measured import measured_key
from nas.searching.runs.stored import StoredRun
from nas.searching.runs.watch import RUNNING
from nas.space.heads import Head, decode

MAX_NETWORKS = 1000
"""Of a larger front, so many networks are drawn block by block."""


def search_page(place: Place) -> Page:
    """Return the page of the search in a folder, of whatever is there.

    Raises:
        NasError: if there is no such run, or its journal or settings are damaged.
    """
    found = read_search_folder(place)
    tables = tables_of(found.run)
    networks, latencies, more = _networks(found, tables)
    metric = metric_of_run(found.run, found.result, found.front)
    front = found.front
    if latencies and not front.is_written:
        rows = [_with_interval(row, latencies) for row in front.rows]
        front = replace(front, rows=tuple(rows))
    measured = {measured_key(one): one for one in found.checked}
    front = replace(front, rows=tuple(_with_measured(row, measured) for row in front.rows))
    view = FrontView(
        run=found.run, front=front, result=found.result, metric=metric, networks=networks
    )
    warnings = (*found.warnings, *tables.warnings, *more, *_why_not_written(found))
    return Page(
        title=f"Search of {_searched(found.run)}: {place}",
        facts=_facts(found, metric),
        parts=(
            Part(heading="The front", texts=_asked(found), front=_front(view)),
            _progress(found),
            Part(heading="Predicted against measured", charts=_measured(found)),
            Part(
                heading="What the numbers rest on",
                points=(*warnings, *_notes(found, tables, latencies)),
            ),
            _origin(found),
            Part(heading="Settings", code=found.settings),
        ),
    )


def _networks(
    found: SearchFolder, tables: RunTables
) -> tuple[Mapping[str, Any], Mapping[str, Latency], tuple[str, ...]]:
    """Return the networks to draw, their latencies by name, and why there are none."""
    numbers = networks_of(found.front, found.run, MAX_NETWORKS)
    try:
        head = Head.parse(found.run.config.head) if found.run.config.head else None
        picks = found.run.trials.picks[list(numbers.values())]
        archs = dict(zip(numbers, decode(found.run.space, picks, head), strict=True))
    except NasError as error:
        return {}, {}, (f"the networks are not drawn: {error}",)
    said: tuple[str, ...] = ()
    latencies: tuple[Latency, ...] = ()
    try:
        latencies = tables.predict(found.run, picks, tuple(archs.values()))
    except NasError as error:
        said = (f"the shares of the latency are not shown: {error}",)
    made = network_data(archs, latencies or None, by=tables.text)
    return made, dict(zip(archs, latencies, strict=False)), said


def _with_interval(row: Mapping[str, Any], latencies: Mapping[str, Latency]) -> Mapping[str, Any]:
    found = latencies.get(str(row["name"]))
    ends = {"latency_low_ms": found.low_ms, "latency_high_ms": found.high_ms} if found else {}
    return {**row, **ends}


def _with_measured(
    row: Mapping[str, Any], measured: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Mapping[str, Any]:
    found = measured.get(measured_key(row), {})
    ends = (MEASURED_MS, "measured_low_ms", "measured_high_ms")
    return {**row, **{key: found[key] for key in ends if key in found}}


def _why_not_written(found: SearchFolder) -> tuple[str, ...]:
    if found.front.is_written or not found.front.rows:
        return ()
    return (
        "the front is worked out from the journal; the end of the search writes it, with the "
        "intervals of the accuracies and the comparison with known networks",
    )


def _searched(run: StoredRun) -> str:
    head = run.config.head
    return f"detectors, {head} on {run.space.name}" if head else run.space.name


def _facts(found: SearchFolder, metric: str) -> dict[str, str]:
    status = found.status
    facts = {
        "state": status.state,
        "trials": f"{len(found.run.trials):,} of {status.wanted:,}",
        "front": f"{len(found.front.rows):,} networks",
    }
    failed = status.counts.get("failed", 0)
    if failed:
        facts["failed"] = f"{failed:,}"
    best = next((row for row in found.front.rows if row.get("best")), None)
    if best and isinstance(best.get(metric), float):
        text = accuracy_text(best[metric], metric)
        facts[f"best {metric}"] = f"{text} %" if metric in FRACTIONS else text
        if gain := best.get("gain"):
            base = (found.result.baseline or {}).get("name", "baseline")
            facts[f"against {base}"] = f"{gain_text(gain, metric)}"
        facts["at"] = f"{ms_text(best['latency_ms'])} ms"
    if found.result.hypervolume is not None and found.front.is_written:
        facts["hypervolume"] = f"{found.result.hypervolume:.6g}"
    beat = status.heartbeat
    if status.state == RUNNING and beat and beat.left_seconds is not None:
        facts["time left"] = f"{beat.left_seconds / 60:.0f} min"
    return facts


def _asked(found: SearchFolder) -> tuple[str, ...]:
    """Return what was searched for, and why nothing was found."""
    run, done = found.run, len(found.run.trials)
    wanted = [("Objectives", run.objectives), ("Constraints", run.constraints)]
    asked = ". ".join(f"{name}: {', '.join(map(str, each))}" for name, each in wanted if each)
    if found.front.rows:
        return (f"{asked}.",) if asked else ()
    if not done:
        return ("No trial is finished yet.",)
    return (f"{asked}.", f"None of {counted(done, 'trial')} satisfied the constraints.")


def _front(view: FrontView) -> Mapping[str, Any] | None:
    return front_data(view) if view.front.rows else None


def _progress(found: SearchFolder) -> Part:
    """Return the hypervolume over the trials."""
    run = found.run
    heading = "Progress"
    if not run.objectives or not run.trials.ok.any():
        return Part(heading=heading)
    scores = signed(run.objectives, run.trials)
    reference = np.array(found.result.reference_point)
    if len(reference) != len(run.objectives):
        known = found.result.baseline or {}
        reference = reference_point(run.objectives, run.constraints, run.trials, known)
    counts, volumes = progress_of_hypervolume(scores, run.trials.ok, reference)
    if not len(counts):
        many = f"{len(found.front.rows):,} networks in {len(run.objectives)} dimensions"
        text = f"The hypervolume is not worked out: {many} take too long."
        return Part(heading=heading, texts=(text,))
    ends = zip(run.objectives, reference.tolist(), strict=True)
    text = ", ".join(f"{o.metric} {o.sign * value + 0.0:g}" for o, value in ends)
    chart = line(
        {"hypervolume": (counts.tolist(), volumes.tolist())},
        x="trials",
        y="hypervolume",
        text=f"The hypervolume of the front of so many trials, from the reference point {text}.",
    )
    return Part(heading=heading, charts=(chart,))


def _measured(found: SearchFolder) -> tuple[Chart, ...]:
    known = {measured_key(row): row["name"] for row in found.front.rows}
    points = {
        str(known.get(measured_key(one), f"{one['name']}, no longer on the front")): (
            float(one["latency_ms"]),
            float(one["measured_ms"]),
        )
        for one in found.checked
        if one.get("latency_ms") is not None
    }
    if not points:
        return ()
    said = dict.fromkeys(note for one in found.checked for note in one.get("notes", ()))
    text = "; ".join(["Networks of the front, measured end to end on one machine", *said])
    return (scatter({"networks of the front": points}, text=f"{text}."),)


def _notes(
    found: SearchFolder, tables: RunTables, latencies: Mapping[str, Latency]
) -> tuple[str, ...]:
    """Return the notes on accuracies and latencies, as the terminal has them."""
    said = found.result.note.splitlines()
    metric = metric_of_run(found.run, found.result, found.front)
    outside = [str(row[f"{metric}_outside"]) for row in found.front.rows
               if row.get(f"{metric}_outside")]  # fmt: skip
    said += [f"{metric} {EXTRAPOLATED}: {text}" for text in _counted(outside, found)]
    for dtype, table in tables.tables.items():
        which = (table.name, table.device, table.runtime, *filter(None, (dtype,)))
        said.append(f"latency_ms: {', '.join(which)}")
        said += [f"latency_ms: {text}" for text in notes(table)]
    remarks = [text for one in latencies.values() for text in dict.fromkeys(_remarks(one))]
    said += [f"latency_ms: {text}" for text in _counted(remarks, found)]
    return tuple(said)


def _remarks(latency: Latency) -> tuple[str, ...]:
    """Return what was not measured, without figures that differ from network to network."""
    modelled = any(unit.extrapolated for unit in latency.units)
    said = [text for text in latency_remarks(latency) if text.startswith("beyond")]
    return (*said, *(["some units were not measured but extrapolated"] if modelled else ()))


def _counted(texts: Sequence[str], found: SearchFolder) -> list[str]:
    """Return every text once, with how many networks of the front it is about."""
    shown = min(len(found.front.rows), MAX_NETWORKS)
    counts = {text: texts.count(text) for text in dict.fromkeys(texts)}
    return [f"{text} ({count} of {shown} networks)" for text, count in counts.items()]


def _origin(found: SearchFolder) -> Part:
    rows = [(name, _said(value)) for name, value in flat(found.environment).items()]
    shown = tuple(row for row in rows if row[0] != "schema" and row[1])
    return Part(heading="Where they come from", headings=("", "value"), rows=shown)


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
