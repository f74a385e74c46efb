"""The status of a search, read from its run folder, wherever it runs."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.core.storage import Place
from nas.searching.problem import FAILED, INFEASIBLE, OK, STOPPED
from nas.searching.runs.stored import StoredRun, read_run
from nas.searching.runs.watch import HEARTBEAT, RUNNING, SILENT_SECONDS, Heartbeat, read_heartbeat

UNKNOWN, LOST = "unknown", "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of a search; `head` is that of detectors, if any.

    `dtype` is what the networks run in, where the search was told. `state` is "running",
    "finished", "stopped", "out of budget" (of time or epochs), "lost" (its heartbeat says "running"
    but is old) or "unknown". `counts` are the trials by status; `waiting` is the number of
    proposals that were not told yet. `best` is the best value of every objective. `silent_seconds`
    have passed since the last heartbeat; below 0 where its clock is ahead of ours.
    """

    out: Place
    head: str
    dtype: str
    state: str
    counts: dict[str, int]
    waiting: int
    wanted: int
    best: dict[str, float]
    heartbeat: Heartbeat | None
    silent_seconds: float | None


def read_status(out: Place | Path | str, *, now: float | None = None) -> Status:
    """Return the status of the search in a run folder, without changing the folder.

    `now` is the time in seconds since 1970, that of the system where it is left out.

    Raises:
        RunError: if there is no run, or its journal is damaged.
    """
    run = read_run(out)
    with run.out.reading(HEARTBEAT) as here:
        heartbeat = read_heartbeat(here)
    return status_of(run, heartbeat, now=now)


def status_of(run: StoredRun, heartbeat: Heartbeat | None, *, now: float | None = None) -> Status:
    """Return the status of a run with its last heartbeat, as `read_status` does."""
    silent = None if heartbeat is None else (now or time.time()) - heartbeat.updated
    status = run.trials.status
    return Status(
        out=run.out,
        head=run.config.head,
        dtype=run.config.dtype,
        state=_state(heartbeat, silent),
        counts={s: int((status == s).sum()) for s in (OK, STOPPED, INFEASIBLE, FAILED)},
        waiting=run.waiting,
        wanted=run.config.trials,
        best=_best(run),
        heartbeat=heartbeat,
        silent_seconds=silent,
    )


def _state(heartbeat: Heartbeat | None, silent: float | None) -> str:
    if heartbeat is None or silent is None:
        return UNKNOWN
    lost = heartbeat.state == RUNNING and abs(silent) > SILENT_SECONDS  # a clock may be ahead
    return LOST if lost else heartbeat.state


def _best(run: StoredRun) -> dict[str, float]:
    """Return the best value of every objective among the trials that are ok."""
    best = {}
    for objective in run.objectives:
        values = run.trials.metrics.get(objective.metric, np.zeros(0))[run.trials.ok]
        if values.size:
            best[objective.metric] = float(objective.sign * (objective.sign * values).min())
    return best
