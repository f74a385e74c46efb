"""Files of samples: what survives a kill, what counts as damaged, and what is refused."""

import json
import logging
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nas.core.errors import RunError
from nas.core.schema import FromFile
from nas.latency.measure.samples import Machine, Repetition, SampleFile, header, read_samples

JOBS = [{"name": name, "role": "unit", "input": [3, 8, 8], "blocks": []} for name in "abc"]
HEAD = header({"name": "p", "jobs": JOBS}, runtime="fake 1", threads=1, dtype="fp32")
REPETITIONS = (
    Repetition(0, 0, 0.0, 2.0, 2.5),
    Repetition(1, 0, 0.25, 1.0, 1.0),
    Repetition(0, 1, 0.5, 2.0, 2.0),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file written by two processes, in which job 2 was refused."""
    path = tmp_path / "samples.jsonl"
    with closing(SampleFile(path, HEAD)) as file:
        file.begin({"cpu": "x"})
        file.add(REPETITIONS[0])
        file.refused(2, "no such operator")
        file.add(REPETITIONS[1])
    with closing(SampleFile(path, HEAD)) as file:
        file.begin({"cpu": "y"})
        file.add(REPETITIONS[2])
    return path


def test_what_was_written_is_read_back(path: Path) -> None:
    samples = read_samples(path)
    assert samples.header == HEAD
    assert samples.begins == (Machine(cpu="x"), Machine(cpu="y"))
    assert samples.repetitions == REPETITIONS
    assert samples.refused == {2: "no such operator"}
    with closing(SampleFile(path, HEAD)) as file:
        assert file.samples == samples


def test_what_the_machine_says_is_known_to_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with closing(SampleFile(path, HEAD)) as file:
        assert file.samples.machine == Machine()
        file.begin({"backend": "my_package.backend", "cores": [2, 3], "more": 1})
    machine = read_samples(path).machine
    assert machine == Machine(backend="my_package.backend", cores=(2, 3))
    assert isinstance(machine.backend, FromFile)


def test_references_are_counted_by_their_role(tmp_path: Path) -> None:
    for count in (0, 1, 3):
        jobs = [{**job, "role": "reference" if i < count else "unit"} for i, job in enumerate(JOBS)]
        path = tmp_path / f"{count}.jsonl"
        SampleFile(path, {**HEAD, "jobs": jobs}).close()
        assert read_samples(path).references == count


def test_a_last_line_that_was_not_finished_is_dropped_at_every_byte(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = path.read_bytes()
    whole = content[: content.rstrip(b"\n").rfind(b"\n") + 1]
    for cut in range(len(whole) + 1, len(content)):
        path.write_bytes(content[:cut])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert read_samples(path).repetitions == REPETITIONS[:2]
        assert "dropped a last line that was not finished" in caplog.text
        assert path.read_bytes() == content[:cut]  # reading changes nothing
    with closing(SampleFile(path, HEAD)) as file:
        file.add(REPETITIONS[2])
    assert read_samples(path).repetitions == REPETITIONS
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\0",
        b"[1]",
        b'{"visit":[3,0.1,1.0,1.0]}',
        b'{"visit":[-1,0.1,1.0,1.0]}',
        b'{"visit":[true,0.1,1.0,1.0]}',
        b'{"visit":[1,-0.1,1.0,1.0]}',
        b'{"visit":[1,0.1,0.0,1.0]}',
        b'{"visit":[1,0.1,-1.0,1.0]}',
        b'{"visit":[1,0.1,2.0,1.0]}',
        b'{"visit":[1,0.1,1.0,Infinity]}',
        b'{"visit":[1,0.1,NaN,1.0]}',
        b'{"visit":[1,0.1,"1",1.0]}',
        b'{"visit":[1,0.1,1.0]}',
        b'{"visit":7}',
        b'{"refused":9,"error":"x"}',
        b'{"visit":[1,0.1,1' + b"0" * 400 + b",1.0]}",
        b'{"visit":' + b"[" * 100_000,
        b'{"begin":{"cores":"2"}}',
        b'{"refused":1}',
        b'{"begin":3}',
        b'{"visited":[1,0.1,1.0,1.0]}',
    ],
)
def test_a_damaged_line_is_named(path: Path, line: bytes) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[3] = line
    path.write_bytes(b"\n".join(lines))
    for read in (read_samples, lambda p: SampleFile(p, HEAD)):
        with pytest.raises(RunError, match=r"samples\.jsonl, line 4: damaged"):
            read(path)
    assert path.read_bytes() == b"\n".join(lines)  # nothing is thrown away


def test_a_visit_before_any_begin_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(f'{json.dumps(HEAD)}\n{{"visit":[0,0.1,1.0,1.0]}}\n')
    with pytest.raises(RunError, match="line 2: damaged"):
        read_samples(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema is 2; this version reads 1"),
        ({"schema": None}, "schema is None; this version reads 1"),
        ({"colour": "red"}, "line 1: damaged: unknown key 'colour'"),
        ({"threads": "one"}, "line 1: damaged: threads must be a whole number >= 1, not 'one'"),
        ({"jobs": 3}, "line 1: damaged: jobs must be a list, not 3"),
        ({"jobs": [3]}, "line 1: damaged: jobs.0 must be a mapping, not 3"),
        ({"jobs": [{**JOBS[0], "input": []}]}, "jobs.0.input must be a list of 3 values"),
        ({"jobs": [{**JOBS[0], "role": "x"}]}, "jobs.0.role must be one of reference, fixed, unit"),
    ],
)
def test_another_schema_and_unknown_keys_are_refused(
    path: Path, change: dict[str, Any], message: str
) -> None:
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([json.dumps({**json.loads(first), **change}).encode(), b"\n", *rest]))
    with pytest.raises(RunError, match=message):
        read_samples(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runtime": "fake 2"}, "was measured with runtime fake 1, not fake 2; give another --out"),
        ({"threads": 2}, "was measured with threads 1, not 2"),
        ({"dtype": "int8"}, "was measured with dtype fp32, not int8"),
        ({"name": "q"}, "was measured with another plan"),
        ({"jobs": JOBS[:2]}, "was measured with another plan; give another --out, or delete it"),
    ],
)
def test_resuming_with_another_measurement_is_refused_in_one_line(
    path: Path, change: dict[str, Any], message: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(RunError, match=message) as error:
        SampleFile(path, {**HEAD, **change})
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    with pytest.raises(RunError, match="; give the same --networks, or delete it"):
        SampleFile(path, {**HEAD, **change}, instead="give the same --networks")
    SampleFile(path, HEAD).close()  # a refused one keeps no lock


def test_a_second_writer_is_refused(path: Path) -> None:
    with (
        closing(SampleFile(path, HEAD)),
        pytest.raises(RunError, match="another measurement is writing into this file"),
    ):
        SampleFile(path, HEAD)
    SampleFile(path, HEAD).close()


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.touch()])
def test_what_holds_no_samples_is_named(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    make(path)
    with pytest.raises(RunError, match=r"samples\.jsonl: (No such|Is a dir|holds no samples)"):
        read_samples(path)


_FILL = """
import sys
from pathlib import Path
from nas.core.errors import RunError
from nas.latency.measure.samples import SampleFile, Repetition, header
job = {"name": "a", "role": "unit", "input": [3, 8, 8], "blocks": []}
head = header({"name": "p", "jobs": [job]}, runtime="fake 1", threads=1, dtype="fp32")
try:
    file = SampleFile(Path(sys.argv[1]), head)
    file.begin({})
    for i in range(100):
        file.add(Repetition(0, 0, float(i), 1.0, 1.0))
except RunError as error:
    print(error)
"""


@pytest.mark.parametrize("bytes_free", [40, 300])
def test_a_full_disk_loses_nothing(tmp_path: Path, bytes_free: int) -> None:
    path = tmp_path / "samples.jsonl"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_free, bytes_free))

    words = [sys.executable, "-c", _FILL, str(path)]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, cwd=root, preexec_fn=limit
    )
    assert "everything before is kept: make room and start the same command again" in done.stdout
    subprocess.run(words, check=True, cwd=root)  # resumes when there is room again
    repetitions = read_samples(path).repetitions
    kept = len(repetitions) - 100
    assert kept == (0 if bytes_free == 40 else len([v for v in repetitions if v.begin == 0]))
    assert [repetition.at for repetition in repetitions] == [
        *map(float, range(kept)),
        *map(float, range(100)),
    ]
