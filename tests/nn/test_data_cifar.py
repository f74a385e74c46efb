"""The CIFAR archives: small ones of the same structure, and what a pickle must not do."""

import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from nas.errors import BadFile
from nas.nn.data import load_data
from nas.nn.datasets._unpickle import unpickle

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
    """Turn the texts of a pickle of protocol 2 into what Python 2 wrote: bytes without a mark."""
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
        ("data_batch_3", _batch(1, labels=[3] * 30), "label 3 is outside of 0..2"),
        ("test_batch", _batch(1, labels=[-1] * 30), "label -1 is outside of 0..2"),
        ("data_batch_1", _batch(1, labels=[0] * 29), "data_batch_1: 30 images, but 29 labels"),
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


def test_an_incomplete_archive_is_said_to_be_so(folder: Path, tmp_path: Path) -> None:
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
def test_rotten_pickles_are_refused(content: bytes) -> None:
    with pytest.raises(BadFile, match="no file of a CIFAR archive"):
        unpickle(content, place="x")


def test_cut_pickles_are_refused() -> None:
    whole = pickle.dumps(_batch(0), protocol=2)
    for length in range(0, len(whole), 9973):
        with pytest.raises(BadFile, match="no file of a CIFAR archive"):
            unpickle(whole[:length], place="x")
    assert io.BytesIO(whole).read(2) == b"\x80\x02"
