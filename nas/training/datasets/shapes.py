"""Procedural shapes with textures among clutter; harder ones reward larger networks; no files."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadValue
from nas.training.data import Images, Source, fingerprint_of
from nas.training.datasets._drawing import MAX_CLASSES, VERSION, Scene, draw

OTHERS = 0.5
"""Validation and test images, each, for a training image."""


def create(*, difficulty: float = 0.5, count: int = 4000, classes: int = 10, seed: int) -> Source:
    """Return `count` training images, and half as many for validation and for testing each.

    A class is a number of lobes with a texture; position, size, turn, colours and light vary and
    say nothing. `difficulty` from 0 to 1 lets turns and colours vary freely, adds noise and other
    shapes, flattens the lobes and makes the textures alike. An image is drawn when it is read, at
    whatever side: a larger one shows more. Which images there are follows from `seed`.

    Raises:
        BadValue: naming the option that is out of range.
    """
    if not 0 <= difficulty <= 1:
        raise BadValue(f"difficulty must be from 0 to 1, not {difficulty}", "difficulty")
    if not 2 <= classes <= MAX_CLASSES:
        raise BadValue(f"classes must be from 2 to {MAX_CLASSES}, not {classes}", "classes")
    if count < 2 * classes:
        raise BadValue(f"count must be {2 * classes} or more for {classes} classes", "count")
    scene = Scene(difficulty=difficulty, classes=classes)
    others = int(count * OTHERS)
    facts = f"shapes {VERSION} {difficulty} {count} {classes} {seed}"
    return Source(
        classes=scene.names,
        train=_images(scene, count, (seed, 0)),
        val=_images(scene, others, (seed, 1)),
        test=_images(scene, others, (seed, 2)),
        fingerprint=fingerprint_of([facts]),
    )


def _images(scene: Scene, count: int, seed: tuple[int, int]) -> Images:
    labels = np.arange(count, dtype=np.int64) % scene.classes
    return Images(labels=labels, read=partial(_read, scene, labels, seed))


def _read(
    scene: Scene,
    labels: NDArray[np.int64],
    seed: tuple[int, int],
    indices: NDArray[np.int64],
    side: int,
) -> NDArray[np.uint8]:
    return draw(scene, labels[indices], [(*seed, int(index)) for index in indices], side)
