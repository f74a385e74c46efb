"""`result.json` of a run folder: what a search was worth, and what its front is compared with.

It has the hypervolume of the front with its reference point, the baseline, and the known networks
as records like those of `pareto.csv`, so that whoever reads the folder needs no evaluator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.core import strict_json
from nas.core.data import read_mapping
from nas.core.errors import BadFile
from nas.core.files import write_text
from nas.core.run_folder import reporting_damage
from nas.core.schema import SCHEMA
from nas.searching.problem import Trials
from nas.searching.setup import Setup
from nas.searching.solutions import Solution, record

RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """What `result.json` says; empty where an earlier version left none.

    `trials` is the number of trials that it is of, `metric` the name of the accuracy and `note`
    what that is. `reference_point` has the worst value of each objective, signed so that smaller is
    better. `known` are records of networks, with the `published` accuracy; `baseline` is one.
    """

    trials: int = 0
    metric: str = ""
    note: str = ""
    hypervolume: float | None = None
    reference_point: tuple[float, ...] = ()
    baseline: dict[str, Any] | None = None
    known: tuple[dict[str, Any], ...] = field(default=())


def result_of(
    setup: Setup,
    trials: Trials,
    *,
    volume: tuple[float, Sequence[float]] | None,
    baseline: Solution | None,
    known: Sequence[Solution],
) -> dict[str, Any]:
    """Return the content of the file; `volume` is the hypervolume with its reference point."""
    records = [_with_published(solution, setup, baseline) for solution in known]
    return {
        "schema": SCHEMA,
        "searched": setup.searched,
        "accuracy": {"metric": setup.accuracy, "note": setup.note},
        "objectives": list(map(str, setup.problem.objectives)),
        "constraints": list(map(str, setup.problem.limits)),
        "trials": len(trials),
        "hypervolume": volume[0] if volume else None,
        "reference_point": list(volume[1]) if volume else [],
        "baseline": _with_published(baseline, setup, baseline) if baseline else None,
        "known": records,
    }


def _with_published(solution: Solution, setup: Setup, baseline: Solution | None) -> dict[str, Any]:
    row = record(solution, setup.accuracy, baseline)
    return {**row, "published": solution.published}


def write_result(out: Path, content: dict[str, Any]) -> None:
    """Write the file into a run folder.

    Raises:
        BadFile: if that is not possible.
    """
    write_text(out / RESULT, strict_json.dumps(content, indent=1) + "\n")


def read_result(out: Path) -> StoredResult:
    """Return what the file of a run folder says, nothing where there is none.

    Raises:
        RunError: if it is damaged.
    """
    path = out / RESULT
    if not path.is_file():
        return StoredResult()
    try:
        found = read_mapping(path)
    except BadFile as error:
        raise BadFile(f"{error}; remove the file, or resume the search to write it again") from None
    with reporting_damage(path):
        baseline = found["baseline"]
        return StoredResult(
            trials=int(found["trials"]),
            metric=str(found["accuracy"]["metric"]),
            note=str(found["accuracy"]["note"]),
            hypervolume=None if found["hypervolume"] is None else float(found["hypervolume"]),
            reference_point=tuple(map(float, found["reference_point"])),
            baseline=None if baseline is None else dict(baseline),
            known=tuple(map(dict, found["known"])),
        )
