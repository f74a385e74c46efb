"""What the folder of a search holds for its page, as far as it can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.core.data import read_mapping
from nas.core.errors import NasError
from nas.core.files import read_text
from nas.core.run_folder import MARKS
from nas.core.storage import Place
from nas.searching.journal import JOURNAL
from nas.searching.runs.folder import CONFIG, ENVIRONMENT, FRONT
from nas.searching.runs.measured import MEASURED, read_measured
from nas.searching.runs.result import RESULT, StoredResult, read_result
from nas.searching.runs.status import Status, status_of
from nas.searching.runs.stored import StoredRun, read_run
from nas.searching.runs.stored_front import StoredFront, read_front
from nas.searching.runs.watch import HEARTBEAT, RUNNING, read_heartbeat
from nas.searching.stored_space import SPACE

FILES = (*MARKS, JOURNAL, SPACE, FRONT, RESULT, ENVIRONMENT, HEARTBEAT, MEASURED)
"""What the page of a search is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFolder:
    """Everything that a folder holds; `warnings` say what could not be read."""

    run: StoredRun
    status: Status
    result: StoredResult
    front: StoredFront
    environment: Mapping[str, Any]
    checked: Sequence[Mapping[str, Any]]
    settings: str
    warnings: tuple[str, ...]


def read_search_folder(place: Place) -> SearchFolder:
    """Return what is in the folder of a search, of whatever is there.

    Raises:
        NasError: if there is no such run, or its journal or settings are damaged.
    """
    with place.reading(*FILES) as here:
        return _read(place, here)


def _read(place: Place, here: Path) -> SearchFolder:
    run = replace(read_run(here), out=place)
    warnings: list[str] = []
    heartbeat = result = None
    try:
        heartbeat = read_heartbeat(here)
        result = read_result(here)
    except NasError as error:
        warnings.append(f"left aside: {error}")
    result = result or StoredResult()
    status = status_of(run, heartbeat)
    done = len(run.trials)
    current = result.trials == done if result.trials else status.state != RUNNING
    environment, checked = _optional(here, warnings)
    return SearchFolder(
        run=run,
        status=status,
        result=result,
        front=read_front(here, run, is_current=current),
        environment=environment,
        checked=checked,
        settings=read_text(here / CONFIG),
        warnings=tuple(warnings),
    )


def _optional(
    here: Path, warnings: list[str]
) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """Return environment and measurements; what cannot be read is said in `warnings`."""
    environment: Mapping[str, Any] = {}
    checked: Sequence[Mapping[str, Any]] = ()
    try:
        if (here / ENVIRONMENT).is_file():
            environment = read_mapping(here / ENVIRONMENT)
        checked = read_measured(here)
    except NasError as error:
        warnings.append(f"left aside: {error}")
    return environment, checked
