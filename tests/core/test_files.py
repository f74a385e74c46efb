"""Files: only regular ones are read, and writes are atomic and to the intended place."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nas.accuracy.predictor import load_accuracy_model, write_accuracy_model
from nas.core.data import first_comment
from nas.core.errors import BadFile, NasError
from nas.core.files import (
    atomic_path,
    open_regular,
    read_bytes,
    read_text,
    write_folder,
    write_text,
)
from nas.core.jsonl import Lines
from nas.exporting.export import export
from nas.latency.file import load_table
from nas.latency.measure.samples import read_samples
from nas.network.checkpoint import read_header
from nas.network.zoo import load_architecture
from nas.pipeline.config import read_pipeline
from nas.searching.config import read_config
from nas.searching.runs.examples import read_examples
from nas.searching.runs.folder import find_architecture, front_names
from nas.searching.runs.status import read_status
from nas.searching.runs.watch import read_heartbeat
from nas.space.file import load_space

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a POSIX system is needed")


@pytest.fixture(params=["fifo", "zero"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a path whose content never ends, or never begins."""

    def make(name: str) -> Path:
        path = tmp_path / name
        if request.param == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        return path

    return make


def _run(path: Path) -> Path:
    """Return the folder of a run around `path`."""
    if path.name != "run.yaml":
        path.with_name("run.yaml").write_text("schema: 1\n", encoding="utf-8")
    return path.parent


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "architecture": ("a.yaml", load_architecture),
    "JSON": ("a.json", load_architecture),
    "space": ("s.yaml", load_space),
    "table": ("t.yaml", load_table),
    "settings": ("run.yaml", read_config),
    "pipeline": ("p.yaml", read_pipeline),
    "comment": ("c.yaml", first_comment),
    "checkpoint": ("c.safetensors", read_header),
    "accuracy model": ("m.npz", load_accuracy_model),
    "samples": ("samples.jsonl", read_samples),
    "lines": ("x.jsonl", lambda path: Lines(path, writer="another")),
    "journal": ("journal.jsonl", lambda path: read_status(_run(path))),
    "examples": ("journal.jsonl", lambda path: read_examples([_run(path)])),
    "heartbeat": ("heartbeat.json", lambda path: read_heartbeat(path.parent)),
    "front": ("pareto.csv", lambda path: front_names(_run(path))),
    "solution": ("pareto.csv", lambda path: find_architecture(f"{_run(path)}:best")),
}


@pytest.mark.parametrize("what", READERS)
def test_what_never_ends_is_refused_at_once(what: str, endless: Callable[[str], Path]) -> None:
    name, read = READERS[what]
    with pytest.raises((NasError, OSError), match=r"not a regular file|no front yet"):
        read(endless(name))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file
    with pytest.raises(OSError, match="larger than 64 MiB"):
        read_text(path)
    with pytest.raises(BadFile, match=r"x\.yaml: larger than 64 MiB"):
        load_space(path)
    with pytest.raises(OSError, match="larger than 2,048 MiB"):
        read_bytes(path)


def test_text_has_one_kind_of_line_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes("é\r\nb\rc\n".encode())
    assert read_text(path) == path.read_text(encoding="utf-8") == "é\nb\nc\n"


def test_only_lines_of_records_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("my notes", encoding="utf-8")
    with pytest.raises(NasError, match=r"x\.jsonl, line 1: damaged"):
        Lines(path, writer="another")
    assert path.read_text(encoding="utf-8") == "my notes"
    path.write_text('{"half', encoding="utf-8")
    Lines(path, writer="another").close()
    assert path.read_text(encoding="utf-8") == ""


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_files_respect_the_umask_and_keep_an_old_mode(mask: int, mode: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with _umask(mask):
        write_text(path, "a")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.chmod(0o640)
        write_text(path, "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_files_of_libraries_respect_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with _umask(0o022), atomic_path(path) as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT, 0o600))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_link_that_the_user_names_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "there" / "x", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to(target)
    for text in ("new", "newer"):  # at first it leads nowhere yet
        write_text(link, text, follow=True)
        assert link.is_symlink()
        assert target.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path / "there") == ["x"]


def test_a_link_in_a_run_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "pareto.csv"
    precious.write_text("old", encoding="utf-8")
    link.symlink_to(precious)
    write_text(link, "new")
    assert (precious.read_text(encoding="utf-8"), link.read_text(encoding="utf-8")) == (
        "old",
        "new",
    )


def test_a_device_is_written_to_and_stays() -> None:
    before = os.stat("/dev/null")
    write_text(Path("/dev/null"), "x", follow=True)
    assert os.stat("/dev/null") == before
    with pytest.raises(BadFile, match="/dev/null cannot be written: not a regular file"):
        write_text(Path("/dev/null"), "x")


def test_a_fifo_is_written_to_and_stays(tmp_path: Path) -> None:
    path, found = tmp_path / "fifo.yaml", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_text("utf-8")), daemon=True)
    reader.start()
    export(load_architecture("mobilenet_v2"), path)
    reader.join(60)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert found[0].startswith("schema: 1\nname: mobilenet_v2\n")


def test_standard_output_is_written_to(tmp_path: Path) -> None:
    kept, target = os.dup(1), tmp_path / "out"
    with target.open("wb") as file:
        os.dup2(file.fileno(), 1)
    inode = target.stat().st_ino
    try:
        write_text(Path("/dev/stdout"), "one", follow=True)
        write_text(Path("/dev/fd/1"), "two", follow=True)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert (target.read_text(encoding="utf-8"), target.stat().st_ino) == ("onetwo", inode)


def test_a_link_that_leads_to_itself_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to("x.yaml")
    with pytest.raises(OSError, match="Too many levels"):
        open_regular(tmp_path / "x.yaml")


def test_a_model_of_any_file_name_is_whole(tmp_path: Path) -> None:
    model = load_accuracy_model("mnasnet_b0")
    write_accuracy_model(model, tmp_path / "my.model")
    assert os.listdir(tmp_path) == ["my.model"]
    assert (tmp_path / "my.model").stat().st_size > 50_000


def test_a_long_name_leaves_room_for_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 240}.yaml"
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        temporary.touch()
    assert path.is_file()


def test_a_folder_is_written_at_once_and_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    write_folder(path, {"a": b"1", "b": b"2"})
    (path / ".git").mkdir()
    (path / "__pycache__").mkdir()
    write_folder(path, {"a": b"3", "b": b"4"})
    assert {p.name for p in path.iterdir()} == {"a", "b", ".git", "__pycache__"}
    assert (path / "a").read_bytes() + (path / "b").read_bytes() == b"34"
    assert [p.name for p in path.parent.iterdir()] == ["folder"]


def test_a_folder_of_other_files_stays_as_it_is(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {"a": b"1", "b": b"2"})
    with pytest.raises(BadFile, match="x cannot be written: it holds b already"):
        write_folder(tmp_path / "x", {"a": b"3"})
    with pytest.raises(BadFile, match="x/a cannot be written: Not a directory"):
        write_folder(tmp_path / "x" / "a", {"a": b"3"})
    with pytest.raises(BadFile, match="y cannot be written: No such file"):
        write_folder(tmp_path / "y", {"a": b"3", "no/such": b"4"})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "a").read_bytes() == b"1"
    write_folder(tmp_path / "x", {"a": b"3"}, others_stay=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "x").iterdir()} == {"a": b"3", "b": b"2"}
