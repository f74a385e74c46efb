"""Samples: what was measured, in a file of JSON lines that survives a kill.

The first line is a header with the plan, so that a file describes itself; a line "begin" stands
where a process began to measure, a line "visit" for each repetition, and a line "refused" for each
model that the runtime would not run. Nothing here needs more than Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from nas.core.errors import RunError
from nas.core.files import read_bytes
from nas.core.jsonl import Record, line_reader, parse, resumed
from nas.core.schema import Count, Milliseconds, OneOf, Reader, Seconds
from nas.core.text import shown

REFERENCE, FIXED, UNIT, PROBE = "reference", "fixed", "unit", "probe"
CORRECTION, VALIDATION = "calibration", "validation"
ROLES = (REFERENCE, FIXED, UNIT, PROBE, CORRECTION, VALIDATION)
"""What a model is measured for: as a reference network, for what any run costs, for the table, for
the operator model, for the correction, or to validate the table. The references are the first jobs
of a plan."""

SCHEMA = 1
_SAME = ("schema", "name", "runtime", "threads", "dtype", "graph", "jobs")


@dataclass(frozen=True, slots=True)
class Repetition:
    """A few runs of one model in a row: the fastest (`ms`) and their median.

    `job` counts the plan's jobs from 0, `begin` the processes that measured; `at` is in seconds
    after that process began.
    """

    job: int
    begin: int
    at: float
    ms: float
    median_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a line "begin" says of the machine; what could not be read is empty or 0.

    `facts` are further ones, as a phone has them.
    """

    cpu: str = ""
    cpu_count: int = 0
    cores: tuple[int, ...] = ()
    governor: str = ""
    clock_mhz: int = 0
    system: str = ""
    python: str = ""
    date: str = ""
    backend: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The content of a file of samples.

    `header` holds the plan and the runtime, `begins` what was known of the machine each time,
    `refused` the runtime's messages about jobs that it would not run.
    """

    header: Record
    begins: tuple[Machine, ...]
    repetitions: tuple[Repetition, ...]
    refused: Mapping[int, str]

    @property
    def references(self) -> int:
        """How many of the jobs, the first ones, are references."""
        return sum(job["role"] == REFERENCE for job in self.header["jobs"])

    @property
    def machine(self) -> Machine:
        """The machine, as the process that began last saw it."""
        return self.begins[-1] if self.begins else Machine()


def header(
    content: Mapping[str, Any], *, runtime: str, threads: int, dtype: str, graph: str = ""
) -> Record:
    """Return the first line of a file for the plan in `content`: name, jobs, perhaps choices.

    `graph` is the version of the graphs (`nas.latency.backends.graph_of`).
    """
    return {
        "schema": SCHEMA,
        "name": content["name"],
        "runtime": runtime,
        "threads": threads,
        "dtype": dtype,
        **({"graph": graph} if graph else {}),
        "jobs": content["jobs"],
        **({"choices": content["choices"]} if content.get("choices") else {}),
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
        found = shown(records[0].get("schema"))
        raise RunError(f"{source}: schema is {found}; this version reads {SCHEMA}")
    head = line_reader(source, 1).record(records[0], _Header)
    begins: list[Machine] = []
    repetitions: list[Repetition] = []
    refused: dict[int, str] = {}
    for number, record in enumerate(records[1:], start=2):
        read = line_reader(source, number)
        if "begin" in record:
            begins.append(read.record(record["begin"], Machine, more=True))
        elif "refused" in record:
            one = read.record(record, _RefusedLine)
            refused[_job(read, one.refused, len(head.jobs))] = one.error
        else:
            repetitions.append(_repetition(read, record, len(begins), len(head.jobs)))
    return Samples(
        header=records[0], begins=tuple(begins), repetitions=tuple(repetitions), refused=refused
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job of the header's plan; see `nas.latency.measure.plan`."""

    name: str
    role: Annotated[str, OneOf(ROLES)]
    input: tuple[Count, Count, Count]
    blocks: tuple[Mapping[str, Any], ...]
    more_inputs: tuple[tuple[Count, Count, Count], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The first line."""

    schema: int
    name: str
    runtime: str
    threads: Count
    dtype: str
    jobs: tuple[JobRecord, ...]
    choices: str = ""
    graph: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RefusedLine:
    """A line "refused"."""

    refused: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _VisitLine:
    """A line "visit": job, seconds after the begin, fastest run, median."""

    visit: tuple[int, Seconds, Milliseconds, Milliseconds]


def _repetition(read: Reader, record: Record, begins: int, jobs: int) -> Repetition:
    job, at, ms, median_ms = read.record(record, _VisitLine).visit
    if not begins:
        raise read.fail("a visit before any begin")
    if not 0 < ms <= median_ms:
        raise read.bad(record, "visit", "[job, seconds, fastest ms, median ms]")
    return Repetition(_job(read, job, jobs), begins - 1, at, ms, median_ms)


def _job(read: Reader, number: int, jobs: int) -> int:
    if number >= jobs:
        raise read.fail(f"there is no job {number}, only {jobs}")
    return number


def check_same(found: Record, wanted: Record, *, path: Path, instead: str) -> None:
    """Refuse a file whose header is `found` where `wanted` is to be measured.

    Raises:
        RunError: saying what differs, and to do what `instead` says.
    """
    for key in _SAME:
        if found.get(key) != wanted.get(key):
            plan = key in ("name", "jobs")
            other = f"{key} {found.get(key)}, not {wanted.get(key)}"
            raise RunError(
                f"{path} was measured with {'another plan' if plan else other}; {instead}, "
                "or delete it"
            )


class SampleFile:
    """An open file of samples, which is appended to.

    Raises:
        RunError: if it cannot be opened, another process writes into it, it is damaged, or it is
            of another plan, runtime, number of threads or dtype than `header`; the message then
            tells the user to do what `instead` says.
    """

    def __init__(self, path: Path, header: Record, *, instead: str = "give another --out") -> None:
        """Open the file at `path`, or begin it with `header`."""
        self.path = path
        with resumed(path, header, writer="another measurement") as self._lines:
            self.samples = samples_of(self._lines.records, source=str(path))
            check_same(self.samples.header, header, path=path, instead=instead)

    def begin(self, machine: Record) -> None:
        """Append that a process begins to measure on `machine`."""
        self._lines.append({"begin": dict(machine)})

    def add(self, repetition: Repetition) -> None:
        """Append a repetition by the process that began last."""
        numbers = [round(repetition.at, 3), round(repetition.ms, 6), round(repetition.median_ms, 6)]
        self._lines.append({"visit": [repetition.job, *numbers]})

    def refused(self, job: int, error: str) -> None:
        """Append that the runtime refuses a job."""
        self._lines.append({"refused": job, "error": error})

    def close(self) -> None:
        """Flush to the disk and release the file."""
        self._lines.close()
