"""File systems for tests of folders at URLs: one that fails, and one of buckets without folders."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nas.core.storage import Place

url_to_fs = pytest.importorskip("fsspec.core").url_to_fs
LocalFileSystem = pytest.importorskip("fsspec.implementations.local").LocalFileSystem
MemoryFileSystem = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem


class Flaky(LocalFileSystem):
    """Files on this disk, whose next writes fail in the middle."""

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


class Bucket(MemoryFileSystem):
    """Objects in buckets, without folders; a bucket must exist before a write."""

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


def content(place: Place) -> dict[str, bytes]:
    """Return all files at a URL, including hidden ones."""
    system, root = url_to_fs(str(place))
    if isinstance(system, Bucket):
        start = f"{root}/"
        return {k.removeprefix(start): v for k, v in Bucket.store.items() if k.startswith(start)}
    found = {}
    for name in system.find(root):
        with suppress(FileNotFoundError):  # it was moved to its place since
            found[name.removeprefix(f"{root}/")] = system.cat_file(name)
    return found


def wait(until: Callable[[], object]) -> None:
    for _ in range(1000):
        if until():
            return
        time.sleep(0.005)
    pytest.fail("nothing came")
