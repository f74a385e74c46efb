"""The front of a run as its folder has it, without the evaluators that the run names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.core.errors import RunError
from nas.searching.fronts import front_numbers, signed
from nas.searching.runs.folder import FRONT
from nas.searching.runs.front_file import Row, read_rows
from nas.searching.runs.stored import StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFront:
    """A front as rows like those of `pareto.csv`, without their picks.

    `numbers` are those of their trials. The front `is_written` where it is that of the file;
    otherwise it is worked out from the journal, and its rows have the metrics of the trials alone.
    """

    rows: tuple[Row, ...]
    numbers: tuple[int, ...]
    is_written: bool


def read_front(here: Path, run: StoredRun, *, is_current: bool) -> StoredFront:
    """Return the front of `run`: of the file in its folder `here`, if that `is_current`.

    A file that is missing, damaged or of other trials is left aside.
    """
    rows = _written(here / FRONT) if is_current else None
    if rows is not None and all(0 <= row["trial"] < len(run.trials) for row in rows):
        numbers = tuple(row["trial"] for row in rows)
        return StoredFront(rows=rows, numbers=numbers, is_written=True)
    found = _sorted(run)
    return StoredFront(
        rows=tuple(_row(run, number, i) for i, number in enumerate(found, start=1)),
        numbers=tuple(found),
        is_written=False,
    )


def _written(path: Path) -> tuple[Row, ...] | None:
    """Return the rows of a `pareto.csv`, None where it is none."""
    try:
        return read_rows(path)
    except RunError:
        return None


def _sorted(run: StoredRun) -> list[int]:
    """Return the numbers of the trials on the front, the fastest first; of one objective the best.

    None where the settings have no objectives yet.
    """
    if not run.objectives:
        return []
    found = front_numbers(signed(run.objectives, run.trials), run.trials)
    first = "latency_ms"
    if len(run.objectives) > 1 and first in run.trials.metrics:
        found = found[np.argsort(run.trials.metrics[first][found], kind="stable")]
    return [int(number) for number in found]


def _row(run: StoredRun, number: int, place: int) -> dict[str, Any]:
    metrics = {name: float(values[number]) for name, values in run.trials.metrics.items()}
    return {"name": f"{place:03d}", **metrics, "trial": number}
