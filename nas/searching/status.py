"""How a search is doing, read from its run folder, wherever it runs."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.core.errors import RunError
from nas.core.files import read_bytes
from nas.core.jsonl import parse
from nas.core.run_kind import SEARCH, check_kind
from nas.core.storage import Place
from nas.searching import folder
from nas.searching.config import SearchConfig, read_config
from nas.searching.journal import finished
from nas.searching.problem import FAILED, INFEASIBLE, OK, STOPPED, Objective, Trials
from nas.searching.watch import HEARTBEAT, RUNNING, SILENT_SECONDS, Heartbeat, read_heartbeat
from nas.space.file import load_space

UNKNOWN, LOST = "unknown", "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of a search.

    `state` is "running", "finished" (it has all it was asked
    for, or its time is up), "stopped", "lost" (it says it is
    running, but has been silent) or "unknown". `counts` are those of the trials by what became of
    them; `waiting` are proposals without an answer. `best` is the best value of every objective.
    `silent_seconds` have passed since the last word; fewer than 0 where its clock is ahead of ours.
    """

    out: Place
    state: str
    counts: dict[str, int]
    waiting: int
    wanted: int
    best: dict[str, float]
    heartbeat: Heartbeat | None
    silent_seconds: float | None


def read_status(out: Place | Path | str, *, now: float | None = None) -> Status:
    """Return how the search in a run folder is doing; nothing in the folder is touched.

    `now` is the time in seconds since 1970, that of the system where it is left out.

    Raises:
        RunError: if there is no run, or its journal is damaged.
    """
    place = out if isinstance(out, Place) else Place(out)
    with place.reading(folder.CONFIG, folder.JOURNAL, HEARTBEAT) as here:
        return _read(place, here, now or time.time())


def _read(place: Place, here: Path, now: float) -> Status:
    """Return the status of the run kept at `place`, whose files are `here`."""
    check_kind(here, SEARCH)
    config = read_config(here / folder.CONFIG)
    trials, asked = _journal(here, config)
    heartbeat = read_heartbeat(here)
    silent = None if heartbeat is None else now - heartbeat.updated
    return Status(
        out=place,
        state=_state(heartbeat, silent),
        counts={s: int((trials.status == s).sum()) for s in (OK, STOPPED, INFEASIBLE, FAILED)},
        waiting=asked - len(trials),
        wanted=config.trials,
        best=_best(config, trials),
        heartbeat=heartbeat,
        silent_seconds=silent,
    )


def _journal(out: Path, config: SearchConfig) -> tuple[Trials, int]:
    """Return the trials, and how many were asked for; a last half line is passed over."""
    path = out / folder.JOURNAL
    try:
        content = read_bytes(path)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    whole = content[: content.rfind(b"\n") + 1]
    records, _ = parse(whole, source=str(path))
    widths = load_space(config.space).widths
    asks = (len(bytes.fromhex(r["picks"])) // len(widths) for r in records if "ask" in r)
    needed = [Objective.parse(text).metric for text in config.objective]
    return finished(records, widths, source=str(path), needed=needed), sum(asks)


def _state(heartbeat: Heartbeat | None, silent: float | None) -> str:
    if heartbeat is None or silent is None:
        return UNKNOWN
    lost = heartbeat.state == RUNNING and abs(silent) > SILENT_SECONDS  # a clock may be ahead
    return LOST if lost else heartbeat.state


def _best(config: SearchConfig, trials: Trials) -> dict[str, float]:
    """Return the best value of every objective among the trials that are ok."""
    best = {}
    for objective in map(Objective.parse, config.objective):
        values = trials.metrics.get(objective.metric, np.zeros(0))[trials.ok]
        if values.size:
            best[objective.metric] = float(objective.sign * (objective.sign * values).min())
    return best
