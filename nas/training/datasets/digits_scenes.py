"""Scenes for detectors: handwritten digits of several sizes on procedural clutter; no files."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from nas.core.errors import BadValue
from nas.training.data import Images, Source, fingerprint_of
from nas.training.datasets._scenes import CANVAS, VERSION, Digits, layout, read
from nas.training.datasets._split import split

OTHERS = 0.5
"""Validation and test scenes, each, for a training scene."""
SHARES = (0.2, 0.2)
"""Of the digits for validation and test: no digit is in scenes of two splits."""
LARGEST = 16
"""Of a pixel as scikit-learn gives it."""
MIN_IMAGES = 10


def create(*, images: int = 400, classes: int = 10, seed: int) -> Source:
    """Return `images` training scenes, and half as many for validation and for testing each.

    A scene has up to six digits from 0 to `classes` - 1, apart from each other, an eighth to a half
    of its side high; one in ten is empty. Colours, waves and strokes behind them say nothing.
    Scenes are drawn when they are read; which ones there are follows from `seed`.

    Raises:
        BadValue: naming the option that is out of range.
    """
    if images < MIN_IMAGES:
        raise BadValue(f"images must be {MIN_IMAGES} or more, not {images}", "images")
    if not 1 <= classes <= 10:
        raise BadValue(f"classes must be from 1 to 10, not {classes}", "classes")
    loaded = load_digits()
    pixels = (loaded.images / LARGEST).astype(np.float32)
    labels = loaded.target.astype(np.int64)
    train, val, test = (
        _images(_chosen(pixels, labels, rows, classes), count, (seed, number))
        for number, (rows, count) in enumerate(
            zip(
                split(labels, SHARES, seed=0),
                (images, int(images * OTHERS), int(images * OTHERS)),
                strict=True,
            )
        )
    )
    return Source(
        classes=tuple(map(str, range(classes))),
        train=train,
        val=val,
        test=test,
        fingerprint=fingerprint_of([f"digits_scenes {VERSION} {images} {classes} {seed}"]),
        mirrored=False,
        task="detection",
    )


def _chosen(
    pixels: NDArray[np.float32], labels: NDArray[np.int64], rows: NDArray[np.int64], classes: int
) -> Digits:
    rows = rows[labels[rows] < classes]
    return Digits(pixels=pixels[rows], labels=labels[rows])


def _images(digits: Digits, count: int, seed: tuple[int, int]) -> Images:
    scenes, objects = layout(digits, count, seed)
    assert (objects.sizes == CANVAS).all()
    return Images(labels=objects, read=partial(read, digits, scenes, seed))
