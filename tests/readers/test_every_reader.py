"""Every reader, on thousands of damaged files, either raises a printable error of ours or none.

The number of files for each reader is `NAS_MUTATIONS`, 100 by default; see CONTRIBUTING.md.
"""

import gc
import random
import signal
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from readers import folders, plain
from readers.mutate import MUTATIONS
from readers.rows import Row

from nas.core.errors import NasError

try:
    from readers.trained import ROWS as TRAINED
except ModuleNotFoundError:  # no torch here
    TRAINED = {}

ROWS = {**plain.ROWS, **folders.ROWS, **TRAINED}
"""Every reader of files; a new reader is a new row in one of these."""
AT_ONCE = 20
"""Files per example of hypothesis, since drawing an example takes longer than reading a file."""
MAX_SECONDS = 2.0
"""Processor seconds per file, so that a busy machine makes no difference."""
HANGS_SECONDS = 60
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("name", ROWS)
def test_a_sound_file_is_read(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    path = _written(row, row.files()[row.spoilt], tmp_path)
    if name == "journal of a pipeline":
        with pytest.raises(NasError, match="stage train is finished, and its"):
            row.read(path)
    else:
        assert row.read(path) is not None


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_an_error_of_one_printable_line(name: str, tmp_path: Path) -> None:
    row = ROWS[name]

    @settings(
        max_examples=max(1, MUTATIONS // AT_ONCE),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        for number in range(AT_ONCE):
            _check(row, row.worse(random.Random(f"{seed} {number}")), tmp_path)

    check()


def _check(row: Row, content: bytes, folder: Path) -> None:
    path = _written(row, content, folder)
    try:
        with _in_time():
            row.read(path)
    except NasError as error:
        text = str(error)
        assert 0 < len(text) <= 1000
        assert not {unicodedata.category(character) for character in text} & FORBIDDEN
    except BaseException as error:
        kept = folder.parent / f"kept-{row.spoilt.replace('/', '-')}"
        kept.write_bytes(content)
        raise AssertionError(f"{type(error).__name__}: {error}; see {kept}") from error


def _written(row: Row, content: bytes, folder: Path) -> Path:
    """Write the files of a reader, with `content` for the spoilt one."""
    place = folder / "x"
    for name, sound in {**row.files(), row.spoilt: content}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound)
    return place / row.spoilt


@contextmanager
def _in_time() -> Iterator[None]:
    """Limit the processor time of one file; a hang is interrupted by the clock."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"hangs for {HANGS_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANGS_SECONDS)
    began = time.thread_time()
    try:
        yield
    finally:
        took = time.thread_time() - began
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        assert took <= MAX_SECONDS, f"takes {took:.1f} s of the processor"


@pytest.fixture(autouse=True, scope="module")
def light_heap() -> Iterator[None]:
    """Exclude objects of earlier tests from garbage collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
