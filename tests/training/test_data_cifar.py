"""The CIFAR archives: small ones of the same structure, and forbidden pickles."""

import io
import os
import pickle
import tarfile
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from readers.mutate import MUTATIONS

from nas.core.errors import BadFile, NasError
from nas.training.data import load_data
from nas.training.datasets._unpickle import unpickle

pytestmark = pytest.mark.torch

NAMES = ["cat", "dog", "emu"]
PER_FILE = 30


def _batch(seed: int, key: str = "labels", labels: list[int] | None = None) -> dict[str, Any]:
    pixels = np.random.default_rng(seed).integers(0, 256, (PER_FILE, 3072), dtype=np.uint8)
    return {"data": pixels, key: [i % 3 for i in range(PER_FILE)] if labels is None else labels}


def _cifar10() -> dict[str, Any]:
    files = {f"data_batch_{number}": _batch(number) for number in range(1, 6)}
    return files | {"test_batch": _batch(9), "batches.meta": {"label_names": NAMES}}


def _as_python_2(content: bytes) -> bytes:
    """Turn the texts of a pickle of protocol 2 into those of Python 2: bytes without a mark."""
    import pickletools

    result, at = b"", 0
    for op, argument, position in pickletools.genops(content):
        if op.name == "BINUNICODE":
            result += content[at:position]
            raw = argument.encode("latin1")
            result += b"U" + bytes([len(raw)]) + raw
            at = position + 5 + len(argument.encode("utf-8", "surrogatepass"))
    return result + content[at:]


def _write(folder: Path, files: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(pickle.dumps(data, protocol=2))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write(tmp_path / "cifar-10-batches-py", _cifar10())


def test_the_folder_and_where_it_lies_and_the_archive_give_the_same(
    folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    data = load_data(f"cifar10:{folder}")
    assert load_data(f"cifar10:{tmp_path}").fingerprint == data.fingerprint
    folder.rename(tmp_path / "away")
    for path in (archive, tmp_path):
        assert load_data(f"cifar10:{path}").fingerprint == data.fingerprint
    assert load_data(f"cifar10:{archive}", seed=1).fingerprint != data.fingerprint


def test_images_labels_and_classes_are_those_of_the_files(folder: Path) -> None:
    data = load_data(f"cifar10:{folder}")
    assert data.classes == tuple(NAMES)
    assert data.test is not None
    assert [len(data.train), len(data.val), len(data.test)] == [135, 15, 30]
    assert list(np.bincount(data.val.labels)) == [5, 5, 5]
    expected = _batch(9)["data"].reshape(-1, 3, 32, 32)
    assert (data.test.read(np.arange(30), 32) == expected).all()
    assert list(data.test.labels[:4]) == [0, 1, 2, 0]
    every = np.concatenate([_batch(number)["data"] for number in range(1, 6)])
    read = np.concatenate([part.read(np.arange(len(part)), 32) for part in (data.train, data.val)])
    assert sorted(map(bytes, read.reshape(-1, 3072))) == sorted(map(bytes, every))


def test_files_of_python_2_are_read_as_well(folder: Path) -> None:
    before = load_data(f"cifar10:{folder}").fingerprint
    for file in folder.iterdir():
        if file.name == "batches.meta":  # a plain mapping of texts
            file.write_bytes(_as_python_2(file.read_bytes()))
    assert unpickle((folder / "batches.meta").read_bytes(), place="") == {"label_names": NAMES}
    assert load_data(f"cifar10:{folder}").fingerprint == before


def test_an_array_as_python_2_wrote_it() -> None:
    content = (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff"
        b"\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abc\xffefts."
    )
    data = unpickle(content.replace(b"tb\x89", b"tb\x89").replace(b"efts.", b"eftbs."), place="x")
    assert data["data"].tolist() == [[97, 98, 99], [255, 101, 102]]


def test_cifar100_has_its_fine_classes(tmp_path: Path) -> None:
    files = {"train": _batch(1, "fine_labels"), "test": _batch(2, "fine_labels")}
    _write(tmp_path / "cifar-100-python", files | {"meta": {"fine_label_names": NAMES}})
    data = load_data(f"cifar100:{tmp_path},val=0.2")
    assert (data.classes, len(data.train), len(data.val)) == (tuple(NAMES), 24, 6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "data_batch_3",
            _batch(1, labels=[3] * 30),
            "data_batch_3: label 3 of image 0 is outside of 0..2",
        ),
        ("test_batch", _batch(1, labels=[-1] * 30), "label -1 of image 0 is outside of 0..2"),
        ("data_batch_1", _batch(1, labels=[0] * 29), "data_batch_1: 30 images, but 29 labels"),
        ("data_batch_2", _batch(1, labels=[0, 10**30] * 15), r"label 10{30} of image 1 is outside"),
        ("data_batch_1", _batch(1, labels=["cat"] * 30), "whole numbers under labels"),
        ("data_batch_1", {"data": np.zeros((3, 5), np.uint8)}, r"\(n, 3072\), found shape \(3, 5"),
        ("data_batch_1", {"labels": [1]}, "found no array"),
        ("data_batch_1", {"data": np.zeros((3, 3072))}, "an array of another type than bytes"),
        ("data_batch_1", [1, 2], "it holds no dictionary"),
        ("batches.meta", {"label_names": "cat"}, "has no list label_names"),
        ("batches.meta", {"names": Path("x")}, "no file of a CIFAR archive: it asks for pathlib"),
    ],
)
def test_other_content_is_one_line(folder: Path, name: str, content: Any, message: str) -> None:
    (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(BadFile, match=message) as caught:
        load_data(f"cifar10:{folder}")
    assert "\n" not in str(caught.value)


def test_an_incomplete_archive_is_reported(folder: Path, tmp_path: Path) -> None:
    (folder / "data_batch_4").unlink()
    with pytest.raises(BadFile, match=r"data_batch_4: No such file .* archive is incomplete"):
        load_data(f"cifar10:{folder}")
    archive = tmp_path / "some.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    with pytest.raises(BadFile, match="holds no cifar-10-batches-py/data_batch_4"):
        load_data(f"cifar10:{archive}")
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(BadFile, match=r"some.tar.gz cannot be read: .* is the download complete"):
        load_data(f"cifar10:{archive}")


def _tar(path: Path, folder: Path, *more: tarfile.TarInfo, without: str = "") -> Path:
    """Pack a folder without one of its files, and with empty members."""
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            if file.name != without:
                tar.add(file, arcname=f"{folder.name}/{file.name}")
        for member in more:
            tar.addfile(member)
    return path


def _member(kind: bytes, target: str, name: str = "cifar-10-batches-py/test_batch") -> Any:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "test_batch"),  # itself
        (tarfile.SYMTYPE, "data_batch_1"),
        (tarfile.LNKTYPE, "cifar-10-batches-py/test_batch"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.DIRTYPE, ""),
    ],
)
def test_members_that_are_no_files_are_refused(
    kind: bytes, target: str, folder: Path, tmp_path: Path
) -> None:
    archive = _tar(tmp_path / "a.tgz", folder, _member(kind, target), without="test_batch")
    with pytest.raises(
        BadFile, match=r"a.tgz cannot be read: .*/test_batch in it is a link, or no"
    ):
        load_data(f"cifar10:{archive}")


def test_archives_of_more_than_they_should_hold_are_refused(folder: Path, tmp_path: Path) -> None:
    twice = _member(tarfile.REGTYPE, "")
    with pytest.raises(BadFile, match="it holds cifar-10-batches-py/test_batch twice"):
        load_data(f"cifar10:{_tar(tmp_path / 'twice.tgz', folder, twice)}")
    many = [_member(tarfile.REGTYPE, "", f"x{number}") for number in range(1000)]
    with pytest.raises(BadFile, match="it holds more than the official archives"):
        load_data(f"cifar10:{_tar(tmp_path / 'many.tgz', folder, *many)}")
    large = _member(tarfile.REGTYPE, "", "x")
    large.size = 2**40  # which no content follows
    block = large.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "large.tar").write_bytes(block + bytes(1024))
    with pytest.raises(BadFile, match="it holds more than the official archives"):
        load_data(f"cifar10:{tmp_path / 'large.tar'}")
    large.type = tarfile.GNUTYPE_LONGNAME  # its content would be read as a name
    (tmp_path / "name.tar").write_bytes(large.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(BadFile, match=r"name.tar cannot be read: a part of it is said to have"):
        load_data(f"cifar10:{tmp_path / 'name.tar'}")


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    (folder / "data_batch_2").unlink()
    os.mkfifo(folder / "data_batch_2")
    with pytest.raises(BadFile, match="data_batch_2 is no file"):
        load_data(f"cifar10:{folder}")


def test_mutated_archives_are_read_or_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    small = {"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1, 2]}
    whole = pickle.dumps(small, protocol=2)
    content = whole[:200] + whole[-60:]  # the zeros between them mean nothing
    random = np.random.default_rng(0)
    packed = _tar(tmp_path / "whole.tgz", folder).read_bytes()
    for number in range(5 * MUTATIONS):
        for name, original in (("pickle", content), ("tar", packed)):
            if name == "tar" and number % 20:
                continue  # slower
            changed = np.frombuffer(original, np.uint8).copy()
            count = random.integers(1, 8)
            changed[random.integers(0, len(changed), count)] = random.integers(0, 256, count)
            cut = changed[: random.integers(1, len(changed) + 1)].tobytes()
            (tmp_path / "x.tgz").write_bytes(cut if number % 2 else changed.tobytes())
            with suppress(NasError):  # whose messages are short and printable
                if name == "pickle":
                    unpickle((tmp_path / "x.tgz").read_bytes(), place="x")
                else:
                    load_data(f"cifar10:{tmp_path / 'x.tgz'}")


class _Calls:
    """Pickles as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "builtins.getattr", "io.open"])
def test_a_pickle_cannot_call_anything(name: str, protocol: int, tmp_path: Path) -> None:
    module, _, function = name.partition(".")
    called = getattr(__import__(module), function)
    made = tmp_path / "made"
    for arguments in ((f"touch {made}",), (str(made), "w")):
        evil = pickle.dumps({"data": _Calls(called, *arguments)}, protocol=protocol)
        with pytest.raises(BadFile, match="it asks for "):
            unpickle(evil, place="evil")
    assert not made.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93.",
        b"\x80\x02cnumpy\ndtype\nU\x01x\x85R}U\x01aU\x01bsb.",
        b"\x80\x02cnumpy\nndarray\n)\x81(K\x01K\x02tb.",
        b"\x80\x02U\x01xQ.",  # a persistent id
        b"\x80\x02\x82\x01.",  # an extension
    ],
)
def test_corrupt_pickles_are_refused(content: bytes) -> None:
    with pytest.raises(BadFile, match="no file of a CIFAR archive"):
        unpickle(content, place="x")


def _memory(content: bytes) -> int:
    """Return the most memory, in bytes, that refusing a pickle takes."""
    tracemalloc.start()
    with pytest.raises(BadFile, match="no file of a CIFAR archive") as caught:
        unpickle(content, place="x")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(str(caught.value)) <= 1000
    return most


_GLOBAL = b"c_codecs\nencode\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr\x00\x00\x00\x01.",  # remembers None at place 16,777,216
        b"\x80\x02B\xff\xff\xff\x7fx.",  # bytes that are not there
        b"\x80\x05\x96\x00\x00\x00\x10\x00\x00\x00\x00x.",  # the same for a bytearray
        # One text of 4 kB becomes bytes 1,000 times.
        _GLOBAL + b"q\x00X\x00\x10\x00\x00" + b"x" * 4096 + b"X\x06\x00\x00\x00latin1\x86q\x01"
        + b"h\x00h\x01R" * 1000 + b".",
        # Lists in lists, which take a message of 2**40 elements to show.
        _GLOBAL + b"]q\x00" + b"".join(b"(h%ch%ce]q%c" % (i, i, i + 1) for i in range(40))
        + b"\x85R.",
        b"}" + b")\x85" + b"\x85" * 50_000 + b"Ks.",  # a key of 50,000 tuples in each other
        b"(" * 50_000 + b".",
    ],
)  # fmt: skip
def test_a_small_pickle_takes_little_memory(content: bytes) -> None:
    assert _memory(content) < 2**20 + 100 * len(content)


def test_cut_pickles_are_refused() -> None:
    whole = pickle.dumps(_batch(0), protocol=2)
    for length in range(0, len(whole), 9973):
        with pytest.raises(BadFile, match="no file of a CIFAR archive"):
            unpickle(whole[:length], place="x")
    assert io.BytesIO(whole).read(2) == b"\x80\x02"
