"""Split images by class and seed, for data that bring no split of their own."""

from math import floor

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadValue
from nas.training.objects import Labels, Objects


def split(labels: Labels, shares: tuple[float, ...], *, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Return the indices of the rest, and of a part for each of `shares`, all sorted.

    Every class gives its share to every part, rounded, but one image at least where the class has
    enough of them: the rest keeps one before the parts get any. Images with objects are split as if
    all were of one class.

    Raises:
        BadValue: if a share is not in 0 to 1, or nothing is left.
    """
    if any(not 0 <= share < 1 for share in shares) or sum(shares) >= 1:
        wanted = ", ".join(f"{share:g}" for share in shares)
        raise BadValue(f"shares of a split must be from 0 to below 1 in all, not {wanted}")
    if isinstance(labels, Objects):
        labels = np.zeros(len(labels), np.int64)
    rows: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    for number, label in enumerate(np.unique(labels)):
        own = np.flatnonzero(labels == label)
        own = own[np.random.default_rng([seed, number]).permutation(len(own))]
        start = 0
        for part, share in enumerate(shares):
            stop = start + _size(len(own), share, left=len(own) - start - 1)
            rows[part + 1].append(own[start:stop])
            start = stop
        rows[0].append(own[start:])
    return tuple(np.sort(np.concatenate(row)) if row else np.zeros(0, np.int64) for row in rows)


def _size(count: int, share: float, *, left: int) -> int:
    if share == 0:
        return 0
    return min(max(floor(count * share + 0.5), 1), left)
