"""Datasets by name: their text, measurements, refusals, and memory."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.errors import BadValue, NasError, UnknownName
from nas.core.plugins import Plugin, available
from nas.training.cache import cached
from nas.training.data import (
    Images,
    Source,
    check_side,
    fingerprint_of,
    load_data,
    measure,
)
from nas.training.datasets._arrays import from_arrays
from nas.training.datasets._split import split

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("text", "path", "options"),
    [
        ("digits", None, {}),
        ("imagefolder:/a", "/a", {}),
        ("imagefolder:/a,val=0.2", "/a", {"val": "0.2"}),
        ("imagefolder:/a, val=0.2 ,test=0.1", "/a", {"val": "0.2", "test": "0.1"}),
        ("imagefolder:C:/a,b/c=d,val=0.3", "C:/a,b/c=d", {"val": "0.3"}),
        ("shapes:difficulty=0.7,count=40", None, {"difficulty": "0.7", "count": "40"}),
        ("hf:user/name,label=kind", "user/name", {"label": "kind"}),
        ("imagefolder:path=/a", "/a", {}),
    ],
)
def test_a_path_stands_before_the_options(text: str, path: str | None, options: dict) -> None:
    plugin = Plugin.parse(text)
    assert plugin.name == text.partition(":")[0]
    assert plugin.options == ({"path": path} if path else {}) | options


def test_every_source_has_a_description() -> None:
    assert set(available("datasets")) == {
        *("cifar10", "cifar100", "csv", "digits", "hf", "imagefolder", "shapes"),
        *("coco", "digits_scenes", "voc", "yolo"),
    }
    assert all(line.endswith(".") for line in available("datasets").values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digit", "unknown dataset 'digit'; did you mean digits"),
        ("digits:/a", "dataset digits: unknown option 'path'"),
        ("imagefolder", "dataset imagefolder needs path"),
        ("shapes:dificulty=1", "unknown option 'dificulty'; did you mean difficulty"),
        (
            "imagefolder:/a b,c=d:e",
            "unknown option 'c'; .*; a path with a comma goes in double quotes",
        ),
        ('imagefolder:"/a b,c=d:e"', "/a b,c=d:e: No such file or directory"),
        ("shapes:difficulty=2", "difficulty must be from 0 to 1"),
        ("shapes:classes=1", "classes must be from 2 to 40"),
        ("shapes:count=5", "count must be 20 or more for 10 classes"),
        ("shapes:count=many", "count must be int, not 'many'"),
        ("digits:cache=-1", "cache must be a number of megabytes, not '-1'"),
        ("imagefolder:/nowhere/at/all", "/nowhere/at/all: No such file or directory; expected"),
        ("cifar10:/nowhere", "found neither cifar-10-batches-py/batches.meta nor cifar-10-python"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message) as caught:
        load_data(text)
    assert "\n" not in str(caught.value)


def test_digits_are_those_of_scikit_learn_with_a_fixed_split() -> None:
    data, again = load_data("digits"), load_data("digits", seed=7)
    assert [len(data.train), len(data.val), len(data.test)] == [1079, 359, 359]
    assert data.classes == tuple("0123456789")
    assert data.fingerprint == again.fingerprint
    assert not data.mirrored
    assert data.notes == ()
    counts = np.bincount(data.val.labels)
    assert counts.min() >= 34
    pixels = data.train.read(np.arange(5), 32)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (5, 3, 32, 32))
    assert (pixels[:, 0] == pixels[:, 2]).all()
    native = data.train.read(np.arange(5), 8)
    assert native.max() == 255
    assert np.abs(data.mean[0] * 255 - data.train.read(np.arange(1079), 8).mean()) < 2


def test_shapes_follow_from_seed_and_difficulty() -> None:
    text = "shapes:count=60,classes=6"
    data, again, other = load_data(text), load_data(text), load_data(text, seed=1)
    rows = np.array([3, 1])
    pixels = data.train.read(rows, 24)
    assert data.classes[:2] == ("2-coarse-stripes", "3-coarse-stripes")
    assert [len(data.train), len(data.val), len(data.test)] == [60, 30, 30]
    assert (pixels == again.train.read(rows, 24)).all()
    assert (pixels[1] == data.train.read(np.arange(60), 24)[1]).all()
    assert (pixels != other.train.read(rows, 24)).any()
    assert (pixels != data.val.read(rows, 24)).any()
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert data.mean == again.mean


def test_harder_shapes_are_noisier() -> None:
    def roughness(difficulty: float) -> float:
        data = load_data(f"shapes:count=40,difficulty={difficulty}")
        pixels = data.train.read(np.arange(40), 32).astype(float)
        return float(np.abs(np.diff(pixels, axis=-1)).mean())

    assert roughness(0) < roughness(0.5) < roughness(1)


def test_mean_and_deviation_are_those_of_the_pixels() -> None:
    pixels = np.zeros((10, 3, 8, 8), np.uint8)
    pixels[:5, 0] = 255
    pixels[:, 1] = 51
    mean, deviation = measure(from_arrays(pixels, np.zeros(10, np.int64)))
    assert mean == pytest.approx((0.5, 0.2, 0))
    assert deviation == pytest.approx((0.5, 1 / 255, 1 / 255), abs=1e-6)


def test_a_side_below_eight_is_refused() -> None:
    with pytest.raises(BadValue, match="sides of 8 pixels at least, not 7"):
        check_side(7)
    with pytest.raises(BadValue, match="8 pixels"):
        load_data("digits").train.read(np.arange(2), 4)


def test_arrays_are_resized_by_averaging() -> None:
    pixels = np.zeros((1, 1, 16, 16), np.uint8)
    pixels[:, :, :, 8:] = 200
    small = from_arrays(pixels, np.zeros(1, np.int64)).read(np.arange(1), 8)
    assert small[0, 0, 0, 0] == 0
    assert small[0, 1, 0, 7] == 200


@pytest.mark.parametrize("shares", [(0.2,), (0.2, 0.3)])
def test_a_split_takes_its_share_of_every_class(shares: tuple[float, ...]) -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 10, 2, 1])
    parts = split(labels, shares, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for share, part in zip(shares, parts[1:], strict=True):
        assert list(np.bincount(labels[part], minlength=4)[:2]) == [100 * share, 10 * share]
    assert np.bincount(labels[parts[0]], minlength=4).min() == 1
    assert all((a == b).all() for a, b in zip(parts, split(labels, shares, seed=1), strict=True))
    assert (parts[1] != split(labels, shares, seed=2)[1]).any()


@pytest.mark.parametrize("shares", [(1.0,), (-0.1,), (0.5, 0.5)])
def test_a_split_leaves_something_for_training(shares: tuple[float, ...]) -> None:
    with pytest.raises(BadValue, match="shares of a split must be from 0 to below 1"):
        split(np.zeros(10, np.int64), shares, seed=0)


def test_a_fingerprint_depends_on_where_its_parts_end() -> None:
    assert fingerprint_of(["ab", "c"]) != fingerprint_of(["a", "bc"])
    assert len(fingerprint_of([b"\x00", "\udcff"])) == 16


def test_what_is_read_once_is_kept() -> None:
    asked: list[list[int]] = []

    def read(indices: np.ndarray, side: int) -> np.ndarray:
        asked.append(list(indices))
        return np.broadcast_to(indices[:, None, None, None], (len(indices), 3, side, side)).astype(
            np.uint8
        )

    keeps = cached(read, 10, 10 * 3 * 8 * 8)
    for rows in ([3, 1, 3], [1, 4], [3]):
        assert (keeps(np.array(rows), 8)[:, 0, 0, 0] == rows).all()
    assert asked == [[1, 3], [4]]
    keeps(np.array([3, 1]), 9)  # too large for the budget
    keeps(np.array([3, 1]), 8)
    assert asked == [[1, 3], [4], [3, 1]]


def test_a_new_side_takes_the_room_of_the_oldest() -> None:
    calls: list[int] = []

    def read(indices: np.ndarray, side: int) -> np.ndarray:
        calls.append(side)
        return np.zeros((len(indices), 3, side, side), np.uint8)

    keeps = cached(read, 2, 2 * 3 * (8**2 + 9**2))
    for side in (8, 9, 8, 10, 8, 9):
        keeps(np.arange(2), side)
    assert calls == [8, 9, 10, 8, 9]


def _module(folder: Path, name: str, body: str) -> None:
    (folder / f"{name}.py").write_text(
        "import numpy as np\n"
        "from nas.training.data import Images, Source\n"
        "def images(*labels):\n"
        "    return Images(labels=np.array(labels, np.int64),\n"
        "        read=lambda i, s: np.zeros((len(i), 3, s, s), np.uint8))\n"
        f"def create(*, seed):\n    return Source({body}, fingerprint='0' * 16)\n"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("classes=('a',), train=images(0), val=images(0)", r"found one class only \(a\)"),
        ("classes=('a', 'b'), train=images(0, 1), val=images()", "there are no images in val"),
        (
            "classes=('a', 'b'), train=images(0, 1, 2, -1), val=images(0)",
            r"2 labels of train are outside of 0..1, the first is 2; unlabelled",
        ),
        (
            "classes=('a', 'b', 'c'), train=images(0, 0), val=images(0)",
            "no training images of b, c; add some, or remove the class",
        ),
    ],
)
def test_sources_are_checked_whoever_made_them(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"source_{abs(hash(body))}"
    (tmp_path / "mine").mkdir()
    _module(tmp_path / "mine", name, body)
    monkeypatch.delitem(__import__("sys").modules, "mine", raising=False)
    with pytest.raises(NasError, match=message):
        load_data(f"mine.{name}")


def test_an_own_module_is_a_source_whose_gaps_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_sources").mkdir()
    body = "classes=('a', 'b'), train=images(*[0] * 9, 1, 1), val=images(0), notes=('a note',)"
    _module(tmp_path / "own_sources", "nine", body)
    data = load_data("own_sources.nine")
    imbalance = "classes are imbalanced 4.5 to 1: 9 training images of a, 2 of b"
    unseen = "no validation images of b: mistakes there do not show"
    assert data.notes == ("a note", imbalance, unseen)
    assert data.test is None
    assert data.deviation == pytest.approx((1 / 255,) * 3, abs=1e-6)
    with pytest.raises(UnknownName, match=r"Python finds no module own_sources\.ten"):
        load_data("own_sources.ten")


def test_records_are_plain() -> None:
    images = Images(labels=np.zeros(3, np.int64), read=lambda i, s: np.zeros((1, 3, s, s), "u1"))
    assert len(images) == 3
    assert Source(classes=("a",), train=images, val=images, fingerprint="0").test is None
