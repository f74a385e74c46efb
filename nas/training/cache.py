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
class _SideCache:
    """The images of one side that have been read so far; `filled` says which."""

    pixels: NDArray[np.uint8]
    filled: NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class _Cache:
    """Reads through `read`, and remembers; the sides in use share `budget` bytes."""

    read: Read
    count: int
    budget: int
    caches: dict[int, _SideCache] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, indices: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
        """Return the images, from memory where they are there."""
        cache = self._of_side(side)
        if cache is None:
            return self.read(indices, side)
        missing = np.unique(indices[~cache.filled[indices]])
        if len(missing):
            # Two threads may read the same image; both write the same bytes, and then the mark.
            cache.pixels[missing] = self.read(missing, side)
            cache.filled[missing] = True
        return cache.pixels[indices]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process empty."""
        return cached, (self.read, self.count, self.budget)

    def _of_side(self, side: int) -> _SideCache | None:
        """Return the cache of `side`, without those used longest ago; None if it never fits."""
        size = self.count * 3 * side**2
        if size > self.budget:
            return None
        with self.lock:
            cache = self.caches.pop(side, None)
            if cache is None:
                while sum(s.pixels.nbytes for s in self.caches.values()) + size > self.budget:
                    del self.caches[next(iter(self.caches))]
                cache = _SideCache(
                    pixels=np.empty((self.count, 3, side, side), np.uint8),
                    filled=np.zeros(self.count, np.bool_),
                )
            self.caches[side] = cache
            return cache


def cached(read: Read, count: int, budget: int) -> Read:
    """Return `read` with a memory of up to `budget` bytes for its `count` images."""
    return _Cache(read=read, count=count, budget=budget)
