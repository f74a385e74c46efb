"""Shared by tests of folders at URLs: frequent sending, and places of several kinds."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

fsspec = pytest.importorskip("fsspec")
sys.path.insert(0, str(Path(__file__).parents[2] / "data"))

from far import Bucket, Flaky, MemoryFileSystem  # noqa: E402

from nas.core.storage import Place  # noqa: E402


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Send often, wait briefly, and keep nothing in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("nas.core.storage.working.SECONDS_BETWEEN_SENDS", 0.01)
    monkeypatch.setattr("nas.core.storage.working.PAUSES", (0.01, 0.02))
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
