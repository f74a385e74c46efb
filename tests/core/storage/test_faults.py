"""Folders at URLs: nothing is lost, whatever fails here, there, or in between."""

import logging
import re
import shutil
import threading
from pathlib import Path

import pytest
from far import Flaky, MemoryFileSystem, content, wait
from small_search import search

from nas.core.errors import BadValue, RunError
from nas.core.storage import Place

ROOT = Path(__file__).parents[3]


def _write_and_cut_off(path: Path) -> None:
    path.write_text(path.name)
    Flaky.failures = float("inf")


def _write_the_last_lines(folder: Path, *, then: BaseException | None = None) -> None:
    """Write something, after which the network fails."""
    (folder / "log.jsonl").write_text("1\n2\n")
    Flaky.failures = float("inf")
    if then:
        raise then


def test_errors_name_the_url_and_not_the_folder_here(place: Place) -> None:
    with pytest.raises(BadValue, match=f"^{place}/a: too small$") as found, place.open() as folder:
        raise BadValue(f"{folder}/a: too small", "stages")
    assert found.value.path == ("stages",)


def test_a_failure_in_the_middle_is_reported_once_and_repaired(
    flaky: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with flaky.open() as folder:
        (folder / "a").write_text("old")
        wait(lambda: content(flaky).get("a"))
        Flaky.failures = 4
        (folder / "a").write_text("new")
        wait(lambda: not Flaky.failures)
        assert content(flaky)["a"] in (b"old", b"new")  # and never a half
        wait(lambda: content(flaky)["a"] == b"new")
    said = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert said == [f"{flaky} cannot be written: the network is away; will try again"]
    assert {name for name in content(flaky) if not name.endswith(".part")} == {"a"}


def test_a_failure_in_the_end_is_tried_again(flaky: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.core.storage.working.SECONDS_BETWEEN_SENDS", 60.0)
    with flaky.open() as folder:
        (folder / "a").write_text("new")
        Flaky.failures = 2
    assert content(flaky)["a"] == b"new"


def test_what_cannot_be_sent_in_the_end_stays_here(
    flaky: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.core.storage.working.SECONDS_BETWEEN_SENDS", 60.0)
    with (
        pytest.raises(RunError, match=r"^flaky:.*cannot be written: the network is away;") as found,
        flaky.open() as folder,
    ):
        _write_the_last_lines(folder)
    assert f"everything is in {flaky.here} on " in str(found.value)
    assert (flaky.here / "log.jsonl").read_text() == "1\n2\n"
    Flaky.failures = 0
    with flaky.open() as folder:
        assert (folder / "log.jsonl").read_text() == "1\n2\n"
    assert content(flaky)["log.jsonl"] == b"1\n2\n"


def test_files_that_were_never_sent_stay_here_too(
    flaky: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.core.storage.working.SECONDS_BETWEEN_SENDS", 60.0)
    for text in "ab":
        with pytest.raises(RunError, match="cannot be written"), flaky.open() as folder:
            _write_and_cut_off(folder / text)
        Flaky.failures = 0
    assert not content(flaky).keys() & {"a", "b"}
    with flaky.open() as folder:
        assert {path.name for path in folder.glob("[ab]")} == {"a", "b"}
    assert content(flaky) == {"a": b"a", "b": b"b"}
    assert [path.name for path in flaky.here.parent.iterdir()] == []


def test_what_ended_the_work_is_shown_and_not_that_it_could_not_be_sent(
    flaky: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt), flaky.open() as folder:
        _write_the_last_lines(folder, then=KeyboardInterrupt())
    assert f"everything is in {flaky.here}" in caplog.text


def test_a_folder_that_was_removed_here_removes_nothing_there(flaky: Place) -> None:
    with flaky.open() as folder:
        (folder / "a").write_text("kept")
    with (
        pytest.raises(RunError, match=r"the working copy of flaky:.*, was removed"),
        flaky.open() as folder,
    ):
        shutil.rmtree(folder)
    assert content(flaky)["a"] == b"kept"


def test_opening_with_retries_waits_for_another_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.core.storage.working.PAUSES", (0.05,) * 100)
    found: list[str] = []

    def read() -> None:
        with place.open(retry=True) as folder:
            found.append((folder / "a").read_text())

    reader = threading.Thread(target=read)
    with place.open() as folder:
        reader.start()
        (folder / "a").write_text("new")
    reader.join(timeout=60)
    assert found == ["new"]


@pytest.mark.parametrize("by", [", on .*,", ""], ids=["open", "closed"])
def test_what_another_machine_wrote_meanwhile_is_not_replaced(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    by: str,
) -> None:
    refused = pytest.raises(RunError, match=r"another process.* has written there since; .* is in ")
    with refused, place.open() as first:
        (first / "log.jsonl").write_text("1\n")
        wait(lambda: content(place).get("log.jsonl") == b"1\n")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another"))
        with place.open() as second:
            (second / "log.jsonl").write_text("1\n2\n")
            if by:
                _add_and_wait(first, by, caplog)
        if not by:
            _add_and_wait(first, by, caplog)
    assert content(place)["log.jsonl"] == b"1\n2\n"
    assert (first / "log.jsonl").read_text() == "1\nmine\n"


def _add_and_wait(folder: Path, by: str, caplog: pytest.LogCaptureFixture) -> None:
    """Add a line, and wait until an attempt to send it."""
    with (folder / "log.jsonl").open("a") as file:
        file.write("mine\n")
    wait(lambda: re.search(f"another process{by} has written there since", caplog.text))


def test_what_was_emptied_meanwhile_is_sent_again(tmp_path: Path) -> None:
    place = Place("memory://far/first")
    with place.open() as folder:
        (folder / "a").write_text("a")
        wait(lambda: "a" in content(place))
        MemoryFileSystem.store.clear()
        (folder / "b").write_text("b")
        wait(lambda: {"a", "b"} <= set(content(place)))


def test_what_cannot_be_written_is_reported_before_any_work(flaky: Place) -> None:
    Flaky.failures = 1
    with (
        pytest.raises(RunError, match=r"^flaky:.* cannot be written: the network is away$"),
        flaky.open(),
    ):
        pytest.fail("this is work")
    with (
        pytest.raises(RunError, match=r"^file:///proc/run cannot be written: "),
        Place("file:///proc/run").open(),
    ):
        pytest.fail("this is work")


def test_with_retries_a_failed_download_is_repeated(flaky: Place) -> None:
    with flaky.open() as folder:
        (folder / "a").write_text("x")
    Flaky.failures = 2
    with flaky.open(retry=True) as folder:
        assert (folder / "a").read_text() == "x"


def test_a_search_outlives_a_network_that_is_away_for_a_while(flaky: Place, far: Path) -> None:
    wanted = {"strategy": "random", "batch": 1, "trials": 60}
    whole = search(**wanted)

    def fail(done: int, of: int, note: str) -> None:
        if done == 20:
            Flaky.failures = 5
            wait(lambda: not Flaky.failures)

    found = search(out=str(flaky), progress=fail, **wanted)
    assert found.out == str(flaky)
    assert [s.arch for s in found.solutions] == [s.arch for s in whole.solutions]
    assert (far / "journal.jsonl").read_bytes().count(b"\n") == 121
    assert Flaky.failures == 0


def test_a_search_that_cannot_be_sent_says_where_it_is_and_continues(
    flaky: Place, far: Path
) -> None:
    def fail(done: int, of: int, note: str) -> None:
        Flaky.failures = float("inf") if done >= 20 else 0

    wanted = {"strategy": "random", "batch": 10, "trials": 40}
    with pytest.raises(RunError, match="; everything is in ") as found:
        search(out=str(flaky), progress=fail, **wanted)
    assert str(flaky.here) in str(found.value)
    kept = (flaky.here / "journal.jsonl").read_bytes()
    Flaky.failures = 0
    assert search(out=str(flaky), **wanted).new == 0
    assert (far / "journal.jsonl").read_bytes() == kept
