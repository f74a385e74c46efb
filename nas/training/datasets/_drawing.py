"""Draw shapes with textures: each image from a seed of its own, at any resolution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from nas.training.data import check_side

VERSION = 2
"""Of the pictures: raise it where the same seed gives other ones."""
LOBES = (2, 3, 4, 5, 6)
WIDTHS = ("coarse", "fine")
TEXTURES = ("stripes", "checks", "rings", "waves")
MAX_CLASSES = len(LOBES) * len(WIDTHS) * len(TEXTURES)
MAX_OTHERS = 4
COARSE = 1.2
"""Periods of a coarse texture in the radius of its shape."""
DRAWS = 80
"""Random numbers of an image, without its noise."""
CHUNK = 64

Floats = NDArray[np.float32]
Draw = Callable[[float, float], Floats]
"""Returns a number between two for each image, of shape (n, 1, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the images of a dataset have in common; `difficulty` is from 0 to 1."""

    difficulty: float
    classes: int

    @property
    def names(self) -> tuple[str, ...]:
        """The classes: lobes vary fastest, then textures, then widths."""
        every = [
            f"{lobes}-{width}-{texture}"
            for width in WIDTHS
            for texture in TEXTURES
            for lobes in LOBES
        ]
        return tuple(every[: self.classes])

    def between(self, easy: float, hard: float) -> float:
        """Return a value by difficulty."""
        return easy + (hard - easy) * self.difficulty


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Where shapes are, of shape (n, side, side), and coordinates in them, in radii."""

    inside: Floats
    across: Floats
    along: Floats


def draw(
    scene: Scene, labels: NDArray[np.int64], seeds: Sequence[Sequence[int]], side: int
) -> NDArray[np.uint8]:
    """Return images of these labels, uint8 of shape (n, 3, side, side), each by its own seed."""
    result = np.empty((len(labels), 3, check_side(side), side), np.uint8)
    for start in range(0, len(labels), CHUNK):
        part = slice(start, start + CHUNK)
        result[part] = _draw(scene, labels[part], seeds[part], side)
    return result


def _draw(
    scene: Scene, labels: NDArray[np.int64], seeds: Sequence[Sequence[int]], side: int
) -> NDArray[np.uint8]:
    generators = [np.random.default_rng(seed) for seed in seeds]
    numbers = np.stack([one.random(DRAWS, np.float32) for one in generators])
    noise = np.stack([one.standard_normal((3, side, side), np.float32) for one in generators])
    columns = iter(numbers.T[:, :, None, None])

    def pick(low: float, high: float) -> Floats:
        drawn: Floats = low + (high - low) * next(columns)
        return drawn

    image = _background(scene, pick, side)
    for _ in range(round(scene.between(0, MAX_OTHERS))):
        image = _with_other(scene, image, pick)
    image = _with_object(scene, image, pick, labels)
    image *= pick(0.7, 1.1)[:, None]
    image += noise * scene.between(0.02, 0.1)
    pixels: NDArray[np.uint8] = (image * 255).round().clip(0, 255).astype(np.uint8)
    return pixels


def _grid(side: int) -> tuple[Floats, Floats]:
    """Return x and y of the pixels' centres, from -1 to 1."""
    at: Floats = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    return at[None, None, :], at[None, :, None]


def _colour(pick: Draw, low: float = 0.1, high: float = 0.9) -> Floats:
    """Return a colour for each image, of shape (n, 3, 1, 1)."""
    return np.stack([pick(low, high) for _ in range(3)], axis=1)


def _background(scene: Scene, pick: Draw, side: int) -> Floats:
    """Return a colour with soft waves."""
    x, y = _grid(side)
    waves = np.zeros((1, side, side), np.float32)
    for _ in range(2):
        turn, rate, phase = pick(0, pi), pick(1, 8), pick(0, 2 * pi)
        waves = waves + np.sin(rate * (x * np.cos(turn) + y * np.sin(turn)) + phase)
    colour = _colour(pick, high=scene.between(0.3, 0.9))
    return colour + scene.between(0.02, 0.1) * waves[:, None]


def _shape(scene: Scene, lobes: Floats, pick: Draw, side: int, size: tuple[float, float]) -> _Shape:
    """Place shapes with so many lobes, of a radius within `size` (1 is half the image)."""
    x, y = _grid(side)
    radius, turn = pick(*size), pick(0, scene.between(0.2, 2) * pi)
    room = np.maximum(0.9 - radius, 0)
    dx = (x - room * pick(-1, 1)) / radius
    dy = (y - room * pick(-1, 1)) / radius
    across = dx * np.cos(turn) + dy * np.sin(turn)
    along = dy * np.cos(turn) - dx * np.sin(turn)
    bulge = scene.between(0.4, 0.25) * np.cos(lobes * np.arctan2(along, across))
    edge = (0.8 * (1 + bulge) - np.hypot(across, along)) * radius * side / 2  # in pixels
    return _Shape(inside=(edge + 0.5).clip(0, 1), across=across, along=along)


def _with_other(scene: Scene, image: Floats, pick: Draw) -> Floats:
    """Put a small shape of one colour over the images."""
    lobes = np.floor(pick(LOBES[0], LOBES[-1] + 1))
    shape = _shape(scene, lobes, pick, image.shape[-1], (0.12, 0.3))
    return _over(image, _colour(pick), shape.inside)


def _with_object(scene: Scene, image: Floats, pick: Draw, labels: NDArray[np.int64]) -> Floats:
    """Put the shape that the label tells over the images."""
    lobes = np.array(LOBES, np.float32)[labels % len(LOBES)][:, None, None]
    fine = (labels // (len(LOBES) * len(TEXTURES)))[:, None, None]
    texture = labels // len(LOBES) % len(TEXTURES)
    shape = _shape(scene, lobes, pick, image.shape[-1], (0.5, 0.8))
    rate = 2 * pi * COARSE * np.float32(scene.between(2.2, 1.6)) ** fine
    shade = _textures(texture, shape, rate, (pick(0, 2 * pi), pick(0, pi)))
    colour = _colour(pick, low=scene.between(0.6, 0.1))
    contrast = pick(scene.between(0.3, 0.18), 0.35)
    shaded = colour + (contrast * shade)[:, None]
    return _over(image, shaded, shape.inside)


def _textures(
    kinds: NDArray[np.int64], shape: _Shape, rate: Floats, turns: tuple[Floats, Floats]
) -> Floats:
    """Return shades from -1 to 1; `rate` is per radius, `turns` are phase and direction."""
    phase, turn = turns
    u = shape.across * np.cos(turn) + shape.along * np.sin(turn)
    v = shape.along * np.cos(turn) - shape.across * np.sin(turn)
    every = (
        lambda: np.sin(rate * u + phase),
        lambda: np.sin(rate * u + phase) * np.sin(rate * v + phase),
        lambda: np.sin(rate * np.hypot(u, v) + phase),
        lambda: np.sin(rate * u + phase + np.sin(rate * v)),
    )
    result = np.zeros_like(shape.inside)
    for kind in np.unique(kinds):
        result = np.where((kinds == kind)[:, None, None], every[kind](), result)
    return np.tanh(3 * result)


def _over(image: Floats, colours: Floats, inside: Floats) -> Floats:
    return image + (colours - image) * inside[:, None]
