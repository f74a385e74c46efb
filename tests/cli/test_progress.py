"""Progress in a log: a line now and then, with the time that is left."""

import itertools
from types import SimpleNamespace

import pytest

from nas.cli._progress import progress


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 20)  # every reading of the clock is 20 seconds later
    monkeypatch.setattr("nas.cli._progress.time", SimpleNamespace(monotonic=lambda: next(clock)))


def test_a_line_says_what_is_done_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("training", "images") as report:
        report(0, 300, "epoch 1")
        report(100, 300, "epoch 1")
        report(300, 300, "")
    assert capsys.readouterr().err.splitlines() == [
        "0 of 300 images, epoch 1",
        "100 of 300 images, epoch 1, about 0:00:40 left",
        "300 of 300 images, about 0:00:00 left",
    ]


def test_a_search_says_once_at_once_that_it_has_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.cli._progress.time", SimpleNamespace(monotonic=lambda: 0.0))
    with progress("searching", "candidates", at_once=True) as report:
        for tasks in range(4):
            report(0, 9, f"{tasks} trainings")
    assert capsys.readouterr().err == "0 of 9 candidates, 0 trainings\n"


def test_work_that_was_done_before_does_not_count_as_fast(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("searching", "candidates") as report:
        report(200, 300, "")
        report(220, 300, "")
    assert capsys.readouterr().err.splitlines()[-1] == ("220 of 300 candidates, about 0:01:20 left")


def test_work_may_report_its_own_duration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("measuring", "repetitions") as report:
        report(1, 9, "at most 40 s left")
        report(2, 9, "at most 40 s left")
    assert capsys.readouterr().err.splitlines()[-1] == "2 of 9 repetitions, at most 40 s left"
