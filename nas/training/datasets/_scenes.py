"""Lay out and draw scenes of digits: each from a seed of its own, on a canvas of a fixed size."""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.Image import Resampling

from nas.training.data import check_side
from nas.training.objects import Objects, gathered

VERSION = 1
"""Of the pictures: raise it where the same seed gives other ones."""
CANVAS = 128
"""Pixels of the side of a scene as it is drawn, before it is resized."""
HEIGHTS = (16, 64)
MAX_DIGITS = 6
EMPTY = 0.1
"""Share of scenes without a digit."""
GAP = 2
TRIALS = 30
"""Pixels between digits, and how often a place is tried."""
MARGIN = 0.25
"""Ink above this counts, when the box of a digit is found."""
STROKES = 6

Floats = NDArray[np.float32]
Seed = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Digits:
    """Digits to choose from: ink from 0 to 1 of shape (n, 8, 8), and their labels."""

    pixels: Floats
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Placed:
    """A digit of a scene: its number, height in pixels before it is trimmed, left and top."""

    digit: int
    height: int
    left: int
    top: int


Scene = tuple[Placed, ...]


def layout(digits: Digits, count: int, seed: Seed) -> tuple[tuple[Scene, ...], Objects]:
    """Return `count` scenes, and the boxes of their digits: the pixels with ink."""
    scenes, owners, boxes, labels = [], [], [], []
    for index in range(count):
        placed, own = _scene(digits, np.random.default_rng([*seed, index, 0]))
        scenes.append(placed)
        owners += [index] * len(placed)
        boxes += own
        labels += [int(digits.labels[one.digit]) for one in placed]
    objects = gathered(
        np.array(owners, np.int64),
        corners=np.array(boxes, np.float64).reshape(-1, 4) / CANVAS,
        labels=np.array(labels, np.int64),
        crowd=np.zeros(len(labels), np.bool_),
        sizes=np.full((count, 2), CANVAS, np.int64),
    )
    return tuple(scenes), objects


def _scene(digits: Digits, random: np.random.Generator) -> tuple[Scene, list[tuple[int, ...]]]:
    """Place digits where they touch no other; those that find no place are left out."""
    wanted = 0 if random.random() < EMPTY else int(random.integers(1, MAX_DIGITS + 1))
    placed: list[Placed] = []
    boxes: list[tuple[int, ...]] = []
    for _ in range(wanted):
        digit = int(random.integers(len(digits.labels)))
        height = round(float(np.exp(random.uniform(*np.log(HEIGHTS)))))
        rows, columns = ink(digits.pixels[digit], height).shape
        for left, top in random.integers(0, (CANVAS - columns + 1, CANVAS - rows + 1), (TRIALS, 2)):
            box = (int(left), int(top), int(left) + columns, int(top) + rows)
            if all(_apart(box, other) for other in boxes):
                placed.append(Placed(digit, height, int(left), int(top)))
                boxes.append(box)
                break
    return tuple(placed), boxes


def _apart(one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    return any(
        one[axis] >= two[axis + 2] + GAP or two[axis] >= one[axis + 2] + GAP for axis in (0, 1)
    )


def ink(pixels: Floats, height: int) -> Floats:
    """Return a digit at a height of so many pixels, without rows and columns that have no ink."""
    image = Image.fromarray((pixels * 255).round().astype(np.uint8))
    resized = image.resize((height, height), Resampling.BILINEAR)
    large: Floats = np.asarray(resized, np.float32) / np.float32(255)
    rows, columns = (np.flatnonzero((large > MARGIN).any(axis)) for axis in (1, 0))
    return large[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def read(
    digits: Digits,
    scenes: tuple[Scene, ...],
    seed: Seed,
    indices: NDArray[np.int64],
    side: int,
) -> NDArray[np.uint8]:
    """Draw scenes, and resize them to `side`."""
    result = np.empty((len(indices), 3, check_side(side), side), np.uint8)
    for row, index in enumerate(indices):
        random = np.random.default_rng([*seed, int(index), 1])
        image = Image.fromarray(_drawn(digits, scenes[int(index)], random))
        resized = image.resize((side, side), Resampling.BILINEAR)
        result[row] = np.asarray(resized).transpose(2, 0, 1)
    return result


def _drawn(digits: Digits, scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a scene: uint8 of shape (CANVAS, CANVAS, 3)."""
    dark = random.random() < 0.5  # the background; digits are of the other kind
    low, high = ((0.05, 0.4), (0.6, 0.95))[:: 1 if dark else -1]
    canvas = _background(random, low)
    for one in scene:
        shape = ink(digits.pixels[one.digit], one.height)
        rows, columns = shape.shape
        part = canvas[one.top : one.top + rows, one.left : one.left + columns]
        part += (random.uniform(*high, 3) - part) * shape[..., None]
    canvas += random.normal(0, 0.02, canvas.shape)
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8)


def _background(random: np.random.Generator, shades: tuple[float, float]) -> Floats:
    """Return a colour with soft waves and strokes of like shades."""
    x, y = np.meshgrid(*[np.linspace(-1, 1, CANVAS, dtype=np.float32)] * 2)
    turn, rate, phase = random.uniform(0, pi), random.uniform(1, 8), random.uniform(0, 2 * pi)
    waves = np.sin(rate * (x * np.cos(turn) + y * np.sin(turn)) + phase)
    canvas = (random.uniform(*shades, 3) + 0.06 * waves[..., None]).clip(0, 1)
    image = Image.fromarray((canvas * 255).round().astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(STROKES))):
        points = [(int(a), int(b)) for a, b in random.integers(0, CANVAS, (3, 2))]
        red, green, blue = (round(255 * float(value)) for value in random.uniform(*shades, 3))
        draw.line(points, fill=(red, green, blue), width=int(random.integers(1, 6)))
    result: Floats = np.asarray(image, np.float32) / np.float32(255)
    return result
