"""Load labelled images for training, with their classes, mean and standard deviation.

A dataset is named by text, as plugins are: "imagefolder:/path", "imagefolder:/path,val=0.2",
"hf:NAME_OR_PATH", "cifar10:/path", "digits", "shapes:difficulty=0.7"; with boxes of objects
"coco:/path", "yolo:/path", "voc:/path", "digits_scenes". Each name is a file in
`nas/training/datasets` whose `create` returns a `Source`; what all of them need is done here.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.core.data import exists
from nas.core.errors import BadValue, NasError, UnknownName
from nas.core.machine import available_cores
from nas.core.plugins import Plugin, available, create
from nas.core.text import LONGEST_VALUE, printable
from nas.network.checkpoint import Triple
from nas.training.cache import Read, cached
from nas.training.label_checks import check_kind, check_labels, label_notes
from nas.training.objects import Labels

logger = logging.getLogger(__name__)

KIND = "datasets"
MIN_SIDE = 8
MEASURED_IMAGES = 2048
MEASURED_SIDE = 64
"""Mean and standard deviation are measured on so many training images, read at this side."""
MIN_DEVIATION = 1 / 255
CACHE_MB = 1024
_READERS = {".csv": "csv", ".json": "coco", ".yaml": "yolo", ".zip": "voc"}
"""What reads a file by its suffix, where a message guesses."""


Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """Labelled images of one split.

    `labels` has shape (n,) and values from 0, or is a record of the objects in each image. `read`
    returns RGB, and may be called by several threads at once: the square in the middle of each
    image for a classifier, the whole image, stretched to a square, for a detector.
    """

    labels: Labels
    read: Read

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """What a file of `nas/training/datasets` finds: the splits, before anything is measured.

    `fingerprint` is of files, sizes, labels and split; `mirrored` and `task` are those of `Data`.
    """

    classes: tuple[str, ...]
    train: Images
    val: Images
    test: Images | None = None
    fingerprint: str
    notes: tuple[str, ...] = ()
    mirrored: bool = True
    task: str = "classification"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """A dataset that is ready for training.

    `mean` and `deviation` are mean and standard deviation of the training images, per channel, on
    the scale 0 to 1. `fingerprint` is 16 hex digits that depend on images, labels and splits, not
    on where they lie. `notes` are for the user: skipped images, imbalance. `mirrored` is False
    where augmentation must not flip: a mirrored 2 is no digit. `task` is "classification", or
    "detection" where the labels are `Objects`.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    val: Images
    test: Images | None
    mean: Triple
    deviation: Triple
    fingerprint: str
    notes: tuple[str, ...]
    mirrored: bool = True
    task: str = "classification"


def load_data(text: str, *, seed: int = 0) -> Data:
    """Return the dataset that `text` names: "NAME", "NAME:PATH", "NAME:PATH,key=value".

    `seed` decides the split where the data have none. Every dataset has the option `cache`: the
    megabytes of decoded images to keep in memory, 1024 by default; a split that does not fit into
    its share is decoded again in every epoch. Notes on the data are logged.

    Raises:
        UnknownName: if there is no such dataset, or it has no such option.
        NasError: if the data cannot be used; the message says what was found and what to do.
    """
    megabytes = _megabytes(Plugin.parse(text).options.get("cache", str(CACHE_MB)))
    source = find_source(text, seed=seed)
    mean, deviation = measure(source.train)
    notes = tuple(map(printable, (*source.notes, *label_notes(source.classes, _labels(source)))))
    for note in notes:
        logger.info("%s: %s", printable(text, LONGEST_VALUE), note)
    total = sum(len(part) for part in (source.train, source.val, source.test) if part is not None)

    def keep(images: Images) -> Images:
        budget = int(megabytes * 2**20 * len(images) / total)
        return Images(labels=images.labels, read=cached(images.read, len(images), budget))

    return Data(
        name=text,
        classes=source.classes,
        train=keep(source.train),
        val=keep(source.val),
        test=None if source.test is None else keep(source.test),
        mean=mean,
        deviation=deviation,
        fingerprint=source.fingerprint,
        notes=notes,
        mirrored=source.mirrored,
        task=source.task,
    )


def find_source(text: str, *, seed: int = 0, task: str = "") -> Source:
    """Return the source of the dataset that `text` names, without reading all of its images.

    Raises:
        NasError: as `load_data`, or if the source is not for the `task`, where one is given.
    """
    plugin = Plugin.parse(text)
    _check_named(text, plugin.name)
    options = {key: value for key, value in plugin.options.items() if key != "cache"}
    source: Source = create(KIND, Plugin(name=plugin.name, options=options), seed=seed)
    _check(source, plugin.name)
    if task:
        check_kind(text, source.task, task)
    return source


def _check_named(text: str, name: str) -> None:
    """Refuse a path without the name of what reads it."""
    path = Path(text if exists(Path(text)) else text.partition(",")[0])
    if name in available(KIND) or not exists(path):
        return
    if path.is_dir():
        raise UnknownName(
            f"{path} is a folder; say what reads it, as in `data=imagefolder:{path}` for images in "
            "a folder for each class"
        )
    if path.suffix in _READERS:
        reader = _READERS[path.suffix]
        raise UnknownName(f"{path} is a file; say what reads it, as in `data={reader}:{path}`")


def check_side(side: int) -> int:
    """Return `side`.

    Raises:
        BadValue: if it is below 8 pixels.
    """
    if side < MIN_SIDE:
        raise BadValue(f"images must have sides of {MIN_SIDE} pixels at least, not {side}")
    return side


def measure(images: Images) -> tuple[Triple, Triple]:
    """Return mean and standard deviation per channel, from 0 to 1, of a few thousand of `images`.

    Which ones depends on their number alone. A standard deviation is at least one step of 8 bits,
    so that images of one colour can be divided by it.
    """
    count = min(len(images), MEASURED_IMAGES)
    chosen = np.sort(np.random.default_rng(0).choice(len(images), count, replace=False))
    parts = np.array_split(chosen, -(-count // 64))
    with ThreadPoolExecutor(available_cores()) as pool:
        sums = list(pool.map(lambda part: _sums(images.read(part, MEASURED_SIDE)), parts))
    first, second = np.sum(sums, axis=0) / (count * MEASURED_SIDE**2)
    deviation = np.maximum(np.sqrt(np.maximum(second - first**2, 0)), MIN_DEVIATION)
    return _triple(first), _triple(deviation)


def _sums(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = pixels.astype(np.float64) / 255
    return np.stack([values.sum(axis=(0, 2, 3)), (values**2).sum(axis=(0, 2, 3))])


def _triple(values: NDArray[np.float64]) -> Triple:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue


def subset(images: Images, rows: Indices) -> Images:
    """Return the images at `rows`."""
    return Images(labels=images.labels[rows], read=partial(_read, images.read, rows))


def _read(read: Read, rows: Indices, indices: Indices, side: int) -> NDArray[np.uint8]:
    return read(rows[indices], side)


def fingerprint_of(parts: Sequence[str | bytes]) -> str:
    """Return 16 hex digits of `parts`, which cannot run into each other."""
    digest = sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(f"{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def _megabytes(text: str) -> float:
    try:
        result = float(text)
    except ValueError:
        result = -1
    if not 0 <= result < float("inf"):
        raise NasError(f"cache must be a number of megabytes, not {text!r}")
    return result


def _check(source: Source, name: str) -> None:
    """Refuse a source that cannot be trained on."""
    check_labels(name, source.task, source.classes, _labels(source))


def _labels(source: Source) -> dict[str, Labels]:
    """Return the labels of every split that there is."""
    splits = {"train": source.train, "val": source.val, "test": source.test}
    return {split: images.labels for split, images in splits.items() if images is not None}


def check_task(data: Data, task: str) -> None:
    """Refuse data for another task than "classification" or "detection".

    Raises:
        NasError: if it has labels where boxes are needed, or boxes where labels are.
    """
    check_kind(data.name, data.task, task)
