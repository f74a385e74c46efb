"""Folders at URLs: what is stored there, what is read, and wrong names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from far import content, wait

from nas.core.errors import MissingPackage, NasError, RunError
from nas.core.storage import Place, split_name
from nas.core.storage.systems import Storage

ROOT = Path(__file__).parents[3]


def _killed(place: Place, code: str) -> None:
    """Run `code` in a process that has opened `place` as `folder`, and then dies."""
    code = f"""
import os, time
from nas.core.storage import working
from nas.core.storage import Place
working.SECONDS_BETWEEN_SENDS = 60.0
copies = []
begin = working._Copy.fetch
def fetch(copy):
    begin(copy)
    copies.append(copy)
working._Copy.fetch = fetch
with Place({str(place)!r}).open() as folder:
    {code}
    os._exit(9)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 9


def test_a_path_is_worked_on_where_it_is(tmp_path: Path) -> None:
    place = Place(tmp_path / "run")
    with place.open() as folder:
        assert folder == tmp_path / "run"
    assert list(tmp_path.iterdir()) == []
    with place.reading("run.yaml") as folder:
        assert folder == tmp_path / "run"


def test_what_is_written_here_is_kept_there_and_comes_back(place: Place) -> None:
    with place.open() as folder:
        (folder / "archs").mkdir()
        (folder / "archs" / "001.yaml").write_text("one")
        (folder / "archs" / "002.yaml").write_text("two")
        (folder / "log.jsonl").write_text("{}\n")
    assert not place.here.exists()
    assert content(place) == {
        "archs/001.yaml": b"one",
        "archs/002.yaml": b"two",
        "log.jsonl": b"{}\n",
    }
    with place.open() as folder:
        assert (folder / "archs" / "001.yaml").read_text() == "one"
        assert (folder / "log.jsonl").read_text() == "{}\n"
        (folder / "archs" / "001.yaml").write_text("another")
        (folder / "archs" / "002.yaml").unlink()
    assert content(place) == {"archs/001.yaml": b"another", "log.jsonl": b"{}\n"}
    assert list(place.here.parent.iterdir()) == []


def test_what_changes_is_sent_meanwhile_and_only_whole_lines(place: Place) -> None:
    with place.open() as folder:
        (folder / "log.jsonl").write_text('{"trial": 1}\n{"tri')
        (folder / "run.yaml").write_text("seed: 1")
        wait(lambda: content(place).get("log.jsonl"))
        assert content(place)["log.jsonl"] == b'{"trial": 1}\n'
        assert ".unsent" in content(place)
        (folder / "run.yaml").write_text("seed: 2")
        wait(lambda: content(place)["run.yaml"] == b"seed: 2")


def test_hidden_files_stay_here_and_deeper_ones_belong_to_other_places(place: Place) -> None:
    inner = place / "trainings" / "a"
    with inner.open() as folder:
        (folder / "last.bin").write_bytes(b"weights")
    with place.open() as folder:
        assert not (folder / "trainings" / "a").exists()
        (folder / "trainings" / "b").mkdir(parents=True)
        (folder / "trainings" / "b" / "last.bin").write_bytes(b"of nobody")
        (folder / ".part").write_text("half")
        (folder / "trainings" / "log.jsonl").write_text("{}\n")
    assert set(content(place)) == {"trainings/a/last.bin", "trainings/log.jsonl"}
    with inner.open() as folder:
        assert (folder / "last.bin").read_bytes() == b"weights"


def test_files_are_removed_there_and_here(place: Place, tmp_path: Path) -> None:
    for each in (place, Place(tmp_path / "local")):
        with each.open() as folder:
            folder.mkdir(exist_ok=True)
            for name in ("best.bin", "last.bin", "log.jsonl"):
                (folder / name).write_text("x\n")
        each.remove("*.bin")
        with each.reading("best.bin", "log.jsonl") as folder:
            assert [path.name for path in folder.iterdir()] == ["log.jsonl"]


def test_only_what_is_asked_for_is_read(place: Place) -> None:
    with place.open() as folder:
        (folder / "run.yaml").write_text("seed: 1")
        (folder / "journal.jsonl").write_text("{}\n")
    with place.reading("run.yaml", "none.yaml") as folder:
        assert [path.name for path in folder.iterdir()] == ["run.yaml"]
    assert not folder.exists()
    with (
        pytest.raises(NasError, match=f"^{place}/run.yaml: damaged$"),
        place.reading("run.yaml") as folder,
    ):
        raise NasError(f"{folder}/run.yaml: damaged")


@pytest.mark.parametrize("is_cache_kept", [True, False])
def test_lines_that_a_kill_left_unsent_are_found_on_the_same_machine(
    tmp_path: Path, is_cache_kept: bool
) -> None:
    place = Place(f"file://{tmp_path}/far")
    _killed(
        place,
        "(folder / 'log.jsonl').write_text('1\\n'); (folder / 'a').write_text('sent'); "
        "copies[0].send(); (folder / 'log.jsonl').write_text('1\\n2\\n3'); "
        "(folder / 'new.jsonl').write_text('4\\n'); (folder / 'a').write_text('not sent')",
    )
    assert (place.here / "a").read_text() == "not sent"
    assert content(place)["log.jsonl"] == b"1\n"
    if not is_cache_kept:
        shutil.rmtree(tmp_path / "cache")
    with place.open() as folder:
        lines = (folder / "log.jsonl").read_text()
        assert lines == ("1\n2\n3" if is_cache_kept else "1\n")
        assert (folder / "a").read_text() == "sent"
        assert (folder / "new.jsonl").exists() == is_cache_kept
    assert content(place)["log.jsonl"] == (b"1\n2\n" if is_cache_kept else b"1\n")
    assert ".unsent" not in content(place)


def test_what_another_machine_resumed_counts(tmp_path: Path, far: Path) -> None:
    place = Place(f"file://{far}")
    _killed(place, "(folder / 'log.jsonl').write_text('1\\n2\\n3\\n')")
    (far / "log.jsonl").write_text("1\ntwo\n")
    with place.open() as folder:
        assert (folder / "log.jsonl").read_text() == "1\ntwo\n"


def test_a_url_that_was_emptied_starts_over_and_nothing_is_discarded(
    far: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(f"file://{far}")
    _killed(place, "(folder / 'log.jsonl').write_text('1\\n')")
    shutil.rmtree(far)
    with place.open() as folder:
        assert list(folder.iterdir()) == []
    (aside,) = place.here.parent.iterdir()
    assert (aside / "log.jsonl").read_text() == "1\n"
    assert f"{place} begins again; the copy of an earlier one is now in {aside}" in caplog.text


def test_two_processes_do_not_work_on_one_place(place: Place) -> None:
    with place.open() as folder:
        (folder / "a").write_text("mine")
        with (
            pytest.raises(RunError, match=f"^{place}: another process on this machine is writing"),
            place.open(),
        ):
            pytest.fail("it is mine")
        assert (folder / "a").read_text() == "mine"
    assert content(place) == {"a": b"mine"}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"^sea://a cannot be read: Protocol not known: sea$"):
        Storage("sea://a").names()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackage, match=r"^s3://a needs s3fs; install it: pip install s3fs$"):
        Storage("s3://a").names()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingPackage, match=r"^s3://a needs fsspec; install it: pip install 'nas"):
        Storage("s3://a").names()


def test_a_place_is_a_path_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(Place("s3://bucket/runs/") / "first") == "s3://bucket/runs/first"
    assert str(Place("runs") / "first") == "runs/first"
    assert Place("runs").resolved() == Place(tmp_path / "runs")
    assert Place("s3://a/b").resolved() == Place("s3://a/b")
    assert Place("s3://a/run").here != Place("s3://b/run").here
    assert Place("s3://a/run").here.name.startswith("run-")
    for bad in ("s3:/bucket/run", Path("s3://bucket/run")):
        with pytest.raises(NasError, match="a URL is given as text, with two slashes"):
            Place(bad)
    with pytest.raises(NasError, match="names no folder; give one, as in s3://bucket/first"):
        Place("s3://")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("run:best", ("run", "best")),
        ("run", ("run", None)),
        ("s3://bucket/run:3", ("s3://bucket/run", "3")),
        ("s3://bucket/run", ("s3://bucket/run", None)),
        ("sftp://host:22/run", ("sftp://host:22/run", None)),
        ("sftp://host:22/run:best", ("sftp://host:22/run", "best")),
    ],
)
def test_solutions_are_distinguished_from_urls(text: str, parts: tuple[str, str | None]) -> None:
    assert split_name(text) == parts
