"""Show the status of a search."""

from dataclasses import asdict

import click

from nas.cli._data import as_word
from nas.cli._places import PLACE
from nas.cli._print import print_json, put
from nas.core.run_folder import SEARCH, SUPERNET
from nas.core.storage import Place
from nas.pipeline.summary import FINISHED, Summary, read_summary
from nas.searching.metrics import FRACTIONS
from nas.searching.runs.status import LOST, Status, read_status
from nas.searching.runs.watch import SPENT
from nas.searching.task import DETECTION


@click.command("status")
@click.argument("run_dir", type=PLACE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(run_dir: Place, as_json: bool) -> None:
    """Show the status of the search in RUN_DIR, a folder or URL, even while it runs elsewhere.

    RUN_DIR may also be the folder of nas train, netadapt, scale search or pipeline.
    """
    if summary := read_summary(run_dir):
        if as_json:
            print_json(summary.record())
        for line in () if as_json else _summary_lines(summary):
            put(line)
        return
    status = read_status(run_dir)
    if as_json:
        print_json(_document(status))
        return
    for line in _lines(status):
        put(line)


def _document(status: Status) -> dict[str, object]:
    beat = status.heartbeat
    return {
        "schema": 1,
        "run": str(status.out),
        "kind": SEARCH.name,
        "state": status.state,
        **status.counts,
        "waiting": status.waiting,
        "trials": sum(status.counts.values()),
        "wanted": status.wanted,
        **({"task": DETECTION, "head": status.head} if status.head else {}),
        **({"dtype": status.dtype} if status.dtype else {}),
        "best": status.best,
        "left_seconds": beat.left_seconds if beat else None,
        "silent_seconds": status.silent_seconds,
        "heartbeat": asdict(beat) if beat else None,
    }


def _summary_lines(summary: Summary) -> list[str]:
    """Return the lines about a folder that is not a search."""
    out, kind = summary.out, summary.kind
    lines = [f"{out}: {kind.text}, {summary.state}"]
    for name, value in summary.facts.items():
        if isinstance(value, list):
            lines.append(f"{name}: {', '.join(value) or 'none'}")
        elif value is not None:
            lines.append(f"{name}: {_value(name, value)}")
    word = as_word(out)
    if summary.state == FINISHED and kind is SUPERNET:
        lines.append(f"next: nas search --space {word}/space.yaml --evaluator supernet:{word}")
    elif summary.state == FINISHED:
        lines.append(f"next: nas show {word}, or nas export {word} --format onnx")
    else:
        lines.append(f"resume: the same {kind.command} command")
    return lines


def _lines(status: Status) -> list[str]:
    """Return the lines about a search."""
    counts = ", ".join(f"{count:,} {name}" for name, count in status.counts.items() if count)
    done = sum(status.counts.values())
    lines = [
        f"{status.out}: {status.state}",
        *([f"task: {DETECTION}, head {status.head}"] if status.head else []),
        *([f"dtype: {status.dtype}"] if status.dtype else []),
        f"trials: {done:,} of {status.wanted:,}" + (f" ({counts})" if counts else ""),
        f"waiting for an answer: {status.waiting:,}",
    ]
    if status.best:
        best = ", ".join(f"{name} {_value(name, value)}" for name, value in status.best.items())
        lines.append(f"best of each objective: {best}")
    beat = status.heartbeat
    if beat and beat.state == "running":
        lines.append(f"workers: {beat.busy} of {beat.workers} busy, {beat.tasks:,} tasks done")
        left = beat.left_seconds
        lines.append(f"time left: {_duration(left) if left is not None else 'not known yet'}")
    if beat and status.silent_seconds is not None:
        passed = status.silent_seconds
        when = f"{_duration(passed)} ago" if passed >= 0 else f"{_duration(-passed)} in the future"
        lines.append(f"last heartbeat: {when}, process {beat.pid} on {beat.host}")
    if status.state in (LOST, "stopped"):
        lines.append(f"resume: nas search --out {as_word(status.out)}")
    if status.state == SPENT:
        lines.append(f"resume: nas search --out {as_word(status.out)}, with a larger budget")
    return lines


def _value(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name in FRACTIONS else f"{value:.6g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
