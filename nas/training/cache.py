"""Keep decoded images in memory where they fit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Read = Callable[[NDArray[np.int64], int], NDArray[np.uint8]]
"""Returns the images at some indices, at a side: uint8 of shape (len(indices), 3, side, side)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """The images of one side that have been read so far; `filled` says which."""

    pixels: NDArray[np.uint8]
    filled: NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class _Cache:
    """Reads through `read`, and remembers; the sides in use share `budget` bytes."""

    read: Read
    count: int
    budget: int
    shelves: dict[int, _Shelf] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, indices: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
        """Return the images, from memory where they are there."""
        shelf = self._shelf(side)
        if shelf is None:
            return self.read(indices, side)
        missing = np.unique(indices[~shelf.filled[indices]])
        if len(missing):
            # Two threads may read the same image; both write the same bytes, and then the mark.
            shelf.pixels[missing] = self.read(missing, side)
            shelf.filled[missing] = True
        return shelf.pixels[indices]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process empty."""
        return cached, (self.read, self.count, self.budget)

    def _shelf(self, side: int) -> _Shelf | None:
        """Return the shelf of `side`, without those used longest ago; None if it never fits."""
        size = self.count * 3 * side**2
        if size > self.budget:
            return None
        with self.lock:
            shelf = self.shelves.pop(side, None)
            if shelf is None:
                while sum(s.pixels.nbytes for s in self.shelves.values()) + size > self.budget:
                    del self.shelves[next(iter(self.shelves))]
                shelf = _Shelf(
                    pixels=np.empty((self.count, 3, side, side), np.uint8),
                    filled=np.zeros(self.count, np.bool_),
                )
            self.shelves[side] = shelf
            return shelf


def cached(read: Read, count: int, budget: int) -> Read:
    """Return `read` with a memory of up to `budget` bytes for its `count` images."""
    return _Cache(read=read, count=count, budget=budget)
