"""Represent named parameters of any kind as the choices of a strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.space.rows import Column, check_indices
from nas.space.space import Matrix, Space

POINTS = 64
"""The number of values that represent a range of numbers, which strategies see as a list."""
_MOST = 255


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The values of each parameter to be chosen, and the space they belong to, if any.

    Numbers are ordered; other values can only be equal or not.
    """

    values: Mapping[str, tuple[Any, ...]]
    space: Space

    def unpack(self, row: Matrix) -> dict[str, Any]:
        """Return the value of every parameter in a row of picks."""
        named = zip(self.values.items(), row.tolist(), strict=True)
        return {name: values[index] for (name, values), index in named}

    def pack(self, values: Mapping[str, Any]) -> Matrix:
        """Return the canonical row for `values`; numbers are replaced by the nearest.

        Raises:
            NasError: if one is missing, or is not a value of its parameter.
        """
        indices = [_index(name, known, values) for name, known in self.values.items()]
        made: Matrix = self.space.canonical(np.array([indices], dtype=np.uint8))[0]
        return made


def of_space(space: Space) -> Parameters:
    """Return the choices of a search space as parameters."""
    return Parameters(values={c.name: c.values for c in space.columns}, space=space)


def of_values(values: Mapping[str, Sequence[Any]]) -> Parameters:
    """Return parameters, given the values of each.

    Raises:
        NasError: if there is nothing to choose, or one has more values than a choice may have.
    """
    several = {name: tuple(known) for name, known in values.items() if len(known) > 1}
    for name, known in several.items():
        if len(known) > _MOST:
            raise NasError(f"{name} has {len(known)} values; a choice has {_MOST} at most")
    if not several:
        raise NasError("no parameter has several values, so there is nothing to choose")
    columns = tuple(Column(name=n, values=_ordered(v), field=n) for n, v in several.items())
    return Parameters(values=several, space=cast(Space, ParameterSpace(columns=columns)))


def steps(low: float, high: float, *, step: float = 0.0, log: bool = False) -> tuple[float, ...]:
    """Return numbers that represent the range from `low` to `high`, with equal or log spacing.

    There are `POINTS` of them, or fewer if a `step` leaves fewer.
    """
    count = int((high - low) / step + 1e-9) + 1 if step else POINTS
    most = _MOST if step and not log else POINTS
    spaced = np.geomspace if log else np.linspace
    if not step:
        return tuple(dict.fromkeys(spaced(low, high, count).tolist()))
    if count <= most:
        return tuple(min(low + step * i, high) for i in range(count))
    places = np.round((spaced(low, low + step * (count - 1), POINTS) - low) / step)
    return tuple(dict.fromkeys(min(low + step * int(place), high) for place in places))


def _ordered(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return numbers unchanged, and other values, which have no order, as texts."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return values if numbers else tuple(f"value {number}" for number in range(len(values)))


def _index(name: str, known: tuple[Any, ...], values: Mapping[str, Any]) -> int:
    if name not in values:
        raise NasError(f"parameter {name} is missing")
    value = values[name]
    if value in known:
        return known.index(value)
    if not all(isinstance(number, int | float) for number in (*known, value)):
        raise NasError(f"parameter {name} is {value!r}; there are {', '.join(map(str, known))}")
    return int(np.argmin(np.abs(np.array(known, dtype=float) - value)))


@dataclass(frozen=True, kw_only=True)
class ParameterSpace:
    """A space of independent choices, with the parts of `Space` that strategies need."""

    columns: tuple[Column, ...]
    name: str = "parameters"
    dtypes: tuple[str, ...] = ()

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """The number of values of every choice."""
        return np.array([len(column.values) for column in self.columns])

    @cached_property
    def size(self) -> int:
        """The number of combinations."""
        return int(np.prod(self.widths.astype(object)))

    @property
    def plain(self) -> "ParameterSpace":
        """Itself: no choice of a dtype."""
        return self

    def split(self, matrix: Matrix) -> tuple[Matrix, None]:
        """Return the rows themselves, and that no dtype is chosen."""
        return matrix, None

    def sample_matrix(self, rng: np.random.Generator, count: int) -> Matrix:
        """Return random rows."""
        shape = (count, len(self.columns))
        return rng.integers(0, self.widths, size=shape).astype(np.uint8)

    def canonical(self, matrix: Matrix) -> Matrix:
        """Return a copy of `matrix`: all choices are active."""
        check_indices(matrix, self.columns, space=self.name)
        return matrix.copy()

    def active(self, matrix: Matrix) -> NDArray[np.bool_]:
        """Return True for every choice."""
        return np.ones(matrix.shape, dtype=bool)
