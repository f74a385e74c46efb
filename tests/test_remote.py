"""Folders at URLs: nothing of them is lost, whatever happens here, there, or between."""

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

fsspec = pytest.importorskip("fsspec")
LocalFileSystem = pytest.importorskip("fsspec.implementations.local").LocalFileSystem
MemoryFileSystem = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem

from nas.errors import BadValue, MissingPackage, NasError, RunError  # noqa: E402
from nas.remote import Place, split_member  # noqa: E402
from nas.remote.storage import Storage  # noqa: E402
from nas.searching import search  # noqa: E402

ROOT = Path(__file__).parents[1]


class Flaky(LocalFileSystem):  # type: ignore[misc, valid-type]  # imported by name
    """Files on this disk, whose next writes fail, in the middle of the file."""

    protocol = "flaky"
    failures: ClassVar[float] = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(str(path).removeprefix("flaky://")))

    def put_file(self, path1: str, path2: str, **more: Any) -> None:
        self._maybe_fail(path2)
        super().put_file(path1, path2, **more)

    def pipe_file(self, path: str, value: bytes, **more: Any) -> None:
        self._maybe_fail(path)
        super().pipe_file(path, value, **more)

    def get_file(self, path1: str, path2: str, **more: Any) -> None:
        self._maybe_fail(path2)
        super().get_file(path1, path2, **more)

    def _maybe_fail(self, path: str) -> None:
        if Flaky.failures:
            Flaky.failures -= 1
            Path(self._strip_protocol(path)).write_bytes(b"half of ")
            raise ConnectionError("the network is away\nfor a while")


class Bucket(MemoryFileSystem):  # type: ignore[misc, valid-type]  # imported by name
    """Objects in buckets, without folders; what is no bucket yet cannot be written."""

    protocol = "bucket"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(path).removeprefix("bucket://").strip("/")

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise AssertionError("this would make a bucket")

    def pipe_file(self, path: str, value: bytes, **more: Any) -> None:
        Bucket.store[self._strip_protocol(path)] = value

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def cat_file(self, path: str, **more: Any) -> bytes:
        try:
            return bytes(Bucket.store[self._strip_protocol(path)])
        except KeyError:
            raise FileNotFoundError(path) from None

    def get_file(self, rpath: str, lpath: str, **more: Any) -> None:
        Path(lpath).write_bytes(self.cat_file(rpath))

    def rm_file(self, path: str) -> None:
        del Bucket.store[self._strip_protocol(path)]

    def ls(self, path: str, detail: bool = True, **more: Any) -> list[Any]:
        prefix = self._strip_protocol(path) + "/"
        below = [name.removeprefix(prefix) for name in Bucket.store if name.startswith(prefix)]
        files = {name: "file" for name in below if "/" not in name}
        folders = {name.partition("/")[0]: "directory" for name in below if "/" in name}
        return [{"name": prefix + n, "type": kind} for n, kind in {**folders, **files}.items()]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Send often, wait shortly, keep nothing in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("nas.remote.working.SECONDS_BETWEEN_SENDS", 0.01)
    monkeypatch.setattr("nas.remote.working.PAUSES", (0.01, 0.02))
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    fsspec.register_implementation("bucket", Bucket, clobber=True)
    Flaky.failures = 0
    Bucket.store.clear()
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["file", "memory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    root = f"file://{tmp_path}/far" if request.param == "file" else f"{request.param}://far"
    return Place(f"{root}/runs/first")


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """Return the folder of `flaky`, a place on this disk."""
    return tmp_path / "far"


@pytest.fixture
def flaky(far: Path) -> Place:
    return Place(f"flaky://{far}")


def _content(place: Place) -> dict[str, bytes]:
    """Return all files at a URL, hidden ones too."""
    system, root = fsspec.core.url_to_fs(str(place))
    if isinstance(system, Bucket):
        start = f"{root}/"
        return {k.removeprefix(start): v for k, v in Bucket.store.items() if k.startswith(start)}
    found = {}
    for name in system.find(root):
        with suppress(FileNotFoundError):  # it was moved to its place since
            found[name.removeprefix(f"{root}/")] = system.cat_file(name)
    return found


def _wait(until: Callable[[], object]) -> None:
    for _ in range(1000):
        if until():
            return
        time.sleep(0.005)
    pytest.fail("nothing came")


def _killed(place: Place, code: str) -> None:
    """Run `code` in a process that opened `place` as `folder`, and dies behind it."""
    code = f"""
import os, time
from nas.remote import working
from nas.remote import Place
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


def _write_the_last_lines(folder: Path, *, then: BaseException | None = None) -> None:
    """Write something; from then on the network is away."""
    (folder / "log.jsonl").write_text("1\n2\n")
    Flaky.failures = float("inf")
    if then:
        raise then


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
    assert _content(place) == {
        "archs/001.yaml": b"one",
        "archs/002.yaml": b"two",
        "log.jsonl": b"{}\n",
    }
    with place.open() as folder:
        assert (folder / "archs" / "001.yaml").read_text() == "one"
        assert (folder / "log.jsonl").read_text() == "{}\n"
        (folder / "archs" / "001.yaml").write_text("another")
        (folder / "archs" / "002.yaml").unlink()
    assert _content(place) == {"archs/001.yaml": b"another", "log.jsonl": b"{}\n"}
    assert list(place.here.parent.iterdir()) == []


def test_what_changes_is_sent_meanwhile_and_only_whole_lines(place: Place) -> None:
    with place.open() as folder:
        (folder / "log.jsonl").write_text('{"trial": 1}\n{"tri')
        (folder / "run.yaml").write_text("seed: 1")
        _wait(lambda: _content(place).get("log.jsonl"))
        assert _content(place)["log.jsonl"] == b'{"trial": 1}\n'
        assert ".unsent" in _content(place)
        (folder / "run.yaml").write_text("seed: 2")
        _wait(lambda: _content(place)["run.yaml"] == b"seed: 2")


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
    assert set(_content(place)) == {"trainings/a/last.bin", "trainings/log.jsonl"}
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
    assert _content(place)["log.jsonl"] == b"1\n"
    if not is_cache_kept:
        shutil.rmtree(tmp_path / "cache")
    with place.open() as folder:
        lines = (folder / "log.jsonl").read_text()
        assert lines == ("1\n2\n3" if is_cache_kept else "1\n")
        assert (folder / "a").read_text() == "sent"
        assert (folder / "new.jsonl").exists() == is_cache_kept
    assert _content(place)["log.jsonl"] == (b"1\n2\n" if is_cache_kept else b"1\n")
    assert ".unsent" not in _content(place)


def test_what_another_machine_went_on_with_counts(tmp_path: Path, far: Path) -> None:
    place = Place(f"file://{far}")
    _killed(place, "(folder / 'log.jsonl').write_text('1\\n2\\n3\\n')")
    (far / "log.jsonl").write_text("1\ntwo\n")
    with place.open() as folder:
        assert (folder / "log.jsonl").read_text() == "1\ntwo\n"


def test_a_url_that_was_emptied_begins_anew_and_nothing_is_thrown_away(
    far: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(f"file://{far}")
    _killed(place, "(folder / 'log.jsonl').write_text('1\\n')")
    shutil.rmtree(far)
    with place.open() as folder:
        assert list(folder.iterdir()) == []
    (aside,) = place.here.parent.iterdir()
    assert (aside / "log.jsonl").read_text() == "1\n"
    assert f"{place} begins anew; what lay here of an earlier one is now in {aside}" in caplog.text


def test_two_processes_do_not_work_on_one_place(place: Place) -> None:
    with place.open() as folder:
        (folder / "a").write_text("mine")
        with (
            pytest.raises(RunError, match=f"^{place}: another process on this machine is writing"),
            place.open(),
        ):
            pytest.fail("it is mine")
        assert (folder / "a").read_text() == "mine"
    assert _content(place) == {"a": b"mine"}


def test_errors_name_the_url_and_not_the_folder_here(place: Place) -> None:
    with pytest.raises(BadValue, match=f"^{place}/a: too small$") as found, place.open() as folder:
        raise BadValue(f"{folder}/a: too small", "stages")
    assert found.value.path == ("stages",)


def test_a_failure_in_the_middle_is_said_once_and_mended(
    flaky: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with flaky.open() as folder:
        (folder / "a").write_text("old")
        _wait(lambda: _content(flaky).get("a"))
        Flaky.failures = 4
        (folder / "a").write_text("new")
        _wait(lambda: not Flaky.failures)
        assert _content(flaky)["a"] in (b"old", b"new")  # and never a half
        _wait(lambda: _content(flaky)["a"] == b"new")
    said = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert said == [f"{flaky} cannot be written: the network is away; going on, and trying again"]
    assert {name for name in _content(flaky) if not name.endswith(".part")} == {"a"}


def test_a_failure_in_the_end_is_tried_again(flaky: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.remote.working.SECONDS_BETWEEN_SENDS", 60.0)
    with flaky.open() as folder:
        (folder / "a").write_text("new")
        Flaky.failures = 2
    assert _content(flaky)["a"] == b"new"


def test_what_cannot_be_sent_in_the_end_stays_here(
    flaky: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.remote.working.SECONDS_BETWEEN_SENDS", 60.0)
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
    assert _content(flaky)["log.jsonl"] == b"1\n2\n"


def test_what_ended_the_work_is_shown_and_not_that_it_could_not_be_sent(
    flaky: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt), flaky.open() as folder:
        _write_the_last_lines(folder, then=KeyboardInterrupt())
    assert f"everything is in {flaky.here}" in caplog.text


def test_a_folder_that_was_removed_here_removes_nothing_there(flaky: Place) -> None:
    with flaky.open() as folder:
        (folder / "a").write_text("kept")
    with pytest.raises(RunError, match="was removed, in which flaky:"), flaky.open() as folder:
        shutil.rmtree(folder)
    assert _content(flaky)["a"] == b"kept"


def test_a_patient_opening_waits_for_another_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.remote.working.PAUSES", (0.05,) * 100)
    found: list[str] = []

    def read() -> None:
        with place.open(patient=True) as folder:
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
        _wait(lambda: _content(place).get("log.jsonl") == b"1\n")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another"))
        with place.open() as second:
            (second / "log.jsonl").write_text("1\n2\n")
            if by:
                _add_and_wait(first, by, caplog)
        if not by:
            _add_and_wait(first, by, caplog)
    assert _content(place)["log.jsonl"] == b"1\n2\n"
    assert (first / "log.jsonl").read_text() == "1\nmine\n"


def _add_and_wait(folder: Path, by: str, caplog: pytest.LogCaptureFixture) -> None:
    """Add a line, and wait until it was tried to send it."""
    with (folder / "log.jsonl").open("a") as file:
        file.write("mine\n")
    _wait(lambda: re.search(f"another process{by} has written there since", caplog.text))


def test_what_was_emptied_meanwhile_is_sent_again(tmp_path: Path) -> None:
    place = Place("memory://far/first")
    with place.open() as folder:
        (folder / "a").write_text("a")
        _wait(lambda: "a" in _content(place))
        MemoryFileSystem.store.clear()
        (folder / "b").write_text("b")
        _wait(lambda: {"a", "b"} <= set(_content(place)))


def test_what_cannot_be_written_is_said_before_any_work(flaky: Place) -> None:
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


def test_the_patient_wait_for_the_network(flaky: Place) -> None:
    with flaky.open() as folder:
        (folder / "a").write_text("x")
    Flaky.failures = 2
    with flaky.open(patient=True) as folder:
        assert (folder / "a").read_text() == "x"


def test_a_search_outlives_a_network_that_is_away_for_a_while(flaky: Place, far: Path) -> None:
    wanted = {"strategy": "random", "batch": 1, "trials": 60}
    whole = search(**wanted)

    def fail(done: int, of: int, note: str) -> None:
        if done == 20:
            Flaky.failures = 5
            _wait(lambda: not Flaky.failures)

    found = search(out=str(flaky), progress=fail, **wanted)
    assert found.out == str(flaky)
    assert [member.arch for member in found.members] == [member.arch for member in whole.members]
    assert (far / "journal.jsonl").read_bytes().count(b"\n") == 121
    assert Flaky.failures == 0


def test_a_search_that_cannot_be_sent_says_where_it_is_and_goes_on(flaky: Place, far: Path) -> None:
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


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"^sea://a cannot be read: Protocol not known: sea$"):
        Storage("sea://a").names()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackage, match=r"^s3://a needs s3fs; install it: pip install s3fs$"):
        Storage("s3://a").names()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingPackage, match=r"^s3://a needs fsspec; install it: pip install fs"):
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
def test_members_are_told_from_urls(text: str, parts: tuple[str, str | None]) -> None:
    assert split_member(text) == parts
