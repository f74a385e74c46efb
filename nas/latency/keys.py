"""Find many units at once among the keys of a latency table."""

import re
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from nas.network.arrays import Places
from nas.network.layers import Unit

_Texts = tuple[str, ...]
"""The texts of a key, with "" in the place of each number."""


class KeyIndex:
    """The places of keys, by their texts (which similar units share) and their numbers."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Index the keys of units, given in the order of their places."""
        self._places: dict[_Texts, dict[tuple[int, ...], int]] = defaultdict(dict)
        for place, key in enumerate(keys):
            parts = _BETWEEN.split(key)
            texts = tuple("" if part.isdecimal() else part for part in parts)
            self._places[texts][tuple(int(p) for p in parts if p.isdecimal())] = place

    def find(self, units: Unit) -> Places:
        """Return the place of each unit's key, -1 if it is not among the keys.

        `units` is a unit of arrays, as returned by `nas.network.arrays.lower_arrays`.
        """
        count = len(units.block.in_channels)  # type: ignore[arg-type]  # an array
        texts, numbers = [], []
        for word in units.key_words:
            texts += [word] if isinstance(word, str) else [""] * len(word)
            numbers += [] if isinstance(word, str) else list(word)
        known = self._places.get(tuple(texts))
        if known is None:
            return np.full(count, -1)
        rows = zip(*(np.broadcast_to(number, count).tolist() for number in numbers), strict=True)
        return np.fromiter((known.get(row, -1) for row in rows), np.intp, count)


_BETWEEN = re.compile(r"(?<=\d)x(?=\d)| ")
