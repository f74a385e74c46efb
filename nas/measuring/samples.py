"""Samples: what was measured, visit by visit, in a file that a kill leaves whole.

The first line is a header with the plan, so that a file tells everything of itself; a line
"begin" stands where a process began to measure, and one "visit" or "refused" for each model that
was visited. Nothing here needs more than Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import RunError
from nas.files import read_bytes
from nas.lines import Lines, Record, damaged, parse

REFERENCE, UNIT, PROBE = "reference", "unit", "probe"
CALIBRATION, VALIDATION = "calibration", "validation"
ROLES = (REFERENCE, UNIT, PROBE, CALIBRATION, VALIDATION)
"""What a model is measured for; the references are the first jobs of a plan."""

SCHEMA = 1
_SAME = ("schema", "name", "runtime", "threads", "dtype", "jobs")


@dataclass(frozen=True, slots=True)
class Visit:
    """A few runs of one model, one after the other.

    `job` counts the plan's jobs from 0, `begin` the processes that measured; `at` is in seconds
    after that process began. `ms` is the fastest run, `median_ms` the median of all.
    """

    job: int
    begin: int
    at: float
    ms: float
    median_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The content of a file of samples.

    `header` holds the plan and the runtime, `begins` what was known of the machine each time,
    `refused` the runtime's words on jobs it would not run.
    """

    header: Record
    begins: tuple[Record, ...]
    visits: tuple[Visit, ...]
    refused: Mapping[int, str]

    @property
    def references(self) -> int:
        """How many of the jobs, the first ones, are references."""
        return sum(job["role"] == REFERENCE for job in self.header["jobs"])


def header(content: Mapping[str, Any], *, runtime: str, threads: int, dtype: str) -> Record:
    """Return the first line of a file for the plan in `content`, a mapping with name and jobs."""
    return {
        "schema": SCHEMA,
        "name": content["name"],
        "runtime": runtime,
        "threads": threads,
        "dtype": dtype,
        "jobs": content["jobs"],
    }


def read_samples(path: Path) -> Samples:
    """Return the samples in a file; a last line that was not finished is dropped.

    Raises:
        RunError: if it cannot be read, a line is damaged, or it is of another version.
    """
    try:
        records, _ = parse(read_bytes(path), source=str(path))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    return samples_of(records, source=str(path))


def samples_of(records: Sequence[Record], *, source: str) -> Samples:
    """Return the samples that the lines of a file stand for.

    Raises:
        RunError: naming the line that is damaged, or saying that the version is another.
    """
    if not records:
        raise RunError(f"{source}: holds no samples")
    if records[0].get("schema") != SCHEMA:
        found = records[0].get("schema")
        raise RunError(f"{source}: schema is {found!r}; this version reads {SCHEMA}")
    if set(records[0]) != set(_SAME):
        raise damaged(source, 1)
    begins: list[Record] = []
    visits: list[Visit] = []
    refused: dict[int, str] = {}
    for number, record in enumerate(records[1:], start=2):
        try:
            _read(record, begins, visits, refused, len(records[0]["jobs"]))
        except (KeyError, TypeError, ValueError):
            raise damaged(source, number) from None
    return Samples(header=records[0], begins=tuple(begins), visits=tuple(visits), refused=refused)


def _read(
    record: Record, begins: list[Record], visits: list[Visit], refused: dict[int, str], jobs: int
) -> None:
    if "begin" in record:
        begins.append(dict(record["begin"]))
        return
    if "refused" in record:
        refused[_job(record["refused"], jobs)] = str(record["error"])
        return
    job, at, ms, median_ms = record["visit"]
    if not (begins and at >= 0 and 0 < ms <= median_ms < float("inf")):
        raise ValueError
    visits.append(Visit(_job(job, jobs), len(begins) - 1, at, ms, median_ms))


def _job(number: int, jobs: int) -> int:
    if type(number) is not int or not 0 <= number < jobs:
        raise ValueError
    return number


class SampleFile:
    """An open file of samples, which is appended to.

    Raises:
        RunError: if it cannot be opened, another process writes into it, it is damaged, or what
            it holds is of another plan, runtime, number of threads or dtype than `header` says;
            `instead` is what the message tells the user to do then.
    """

    def __init__(self, path: Path, header: Record, *, instead: str = "give another --out") -> None:
        """Open the file at `path`, or begin it with `header`."""
        self.path, self._instead = path, instead
        self._lines = Lines(path, writer="another measurement")
        try:
            if not self._lines.records:
                self._lines.append(header)
            self.samples = samples_of(self._lines.records or [header], source=str(path))
            self._check(header)
        except RunError:
            self._lines.close()
            raise

    def _check(self, header: Record) -> None:
        for key in _SAME:
            found, wanted = self.samples.header[key], header[key]
            if found != wanted:
                shown = (
                    "another plan" if key in ("name", "jobs") else f"{key} {found}, not {wanted}"
                )
                raise RunError(
                    f"{self.path} was measured with {shown}; {self._instead}, or delete it"
                )

    def begin(self, machine: Record) -> None:
        """Note that a process begins to measure on `machine`."""
        self._lines.append({"begin": dict(machine)})

    def visit(self, visit: Visit) -> None:
        """Note a visit of the process that began last."""
        numbers = [round(visit.at, 3), round(visit.ms, 6), round(visit.median_ms, 6)]
        self._lines.append({"visit": [visit.job, *numbers]})

    def refused(self, job: int, error: str) -> None:
        """Note that the runtime refuses a job."""
        self._lines.append({"refused": job, "error": error})

    def close(self) -> None:
        """Bring everything to the disk and let others write."""
        self._lines.close()
