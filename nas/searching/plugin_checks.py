"""What strategies and evaluators return, checked where it enters a search.

Their authors find the name of the plugin, what it gave, and what was expected in one line, which
ends the search: the next trial would be no better.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadPlugin
from nas.core.text import shown
from nas.searching.metrics import FRACTIONS, plausible
from nas.space.rows import wrong_index
from nas.space.space import Matrix, Space

Floats = NDArray[np.float64]

_PERCENT = 100.0


def identity(plugin: object) -> str:
    """Return the `str` of a plugin, or its class where it defines none."""
    kind = type(plugin)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return f"{kind.__module__}.{kind.__qualname__}"
    return str(plugin)


def evaluator_name(evaluator: object) -> str:
    """Return what a message calls an evaluator: its text, and its module unless it is ours."""
    text, module = identity(evaluator), type(evaluator).__module__
    own = module.startswith("nas.") or text.startswith(module)
    return f"evaluator {text}" if own else f"evaluator {text} ({module})"


# Strategies


def check_strategy(strategy: Any, name: str) -> None:
    """Refuse a strategy whose `batch` is no number of candidates.

    Raises:
        BadPlugin: saying what it is.
    """
    batch = strategy.batch
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise BadPlugin(f"strategy {name}: batch must be a whole number >= 1, not {shown(batch)}")


def check_rows(rows: object, space: Space, *, count: int, name: str) -> Matrix:
    """Return the rows that a strategy was asked for, up to `count` canonical ones of `space`.

    Raises:
        BadPlugin: saying what they are, and what was expected.
    """
    columns = len(space.columns)
    wanted = f"expected uint8, shape (up to {count}, {columns})"
    start = f"strategy {name}: ask gave"
    if not isinstance(rows, np.ndarray):
        raise BadPlugin(f"{start} {_kind(rows)}; {wanted}")
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != columns or len(rows) > count:
        raise BadPlugin(f"{start} {rows.dtype}, shape {rows.shape}; {wanted}")
    if problem := wrong_index(rows, space.columns):
        raise BadPlugin(f"{start} {problem}")
    if not np.array_equal(rows, space.canonical(rows)):
        number, column = np.argwhere(rows != space.canonical(rows))[0].tolist()
        raise BadPlugin(
            f"{start} a pick for {space.columns[column].name}, which has no influence in row "
            f"{number}; inactive choices must be 0, as space.canonical(rows) makes them"
        )
    return rows


class CheckedStrategy:
    """A strategy whose proposals are checked; everything else is passed on."""

    def __init__(self, strategy: Any, space: Space, name: str) -> None:
        """Wrap `strategy`, called `name` in messages."""
        self._strategy, self._space, self._name = strategy, space, name

    @property
    def batch(self) -> int:
        """The strategy's preferred number of candidates."""
        return int(self._strategy.batch)

    def ask(self, count: int) -> Matrix:
        """Return what the strategy proposes.

        Raises:
            BadPlugin: if that is no matrix of the space.
        """
        return check_rows(self._strategy.ask(count), self._space, count=count, name=self._name)

    def tell(self, trials: Any) -> None:
        """Pass the trials on."""
        self._strategy.tell(trials)


# Evaluators


@contextmanager
def blamed(evaluator: object, part: str = "") -> Iterator[None]:
    """Begin what the checks within raise with the name of the evaluator, and of the `part`."""
    try:
        yield
    except BadPlugin as error:
        start = evaluator_name(evaluator)
        raise BadPlugin(f"{start}{f': {part}' if part else ''} {error}") from None


def check_evaluator(evaluator: Any, name: str) -> None:
    """Refuse an evaluator whose `provides`, `seconds` or `note` are none.

    Raises:
        BadPlugin: saying what they are.
    """
    provides, seconds, what = evaluator.provides, evaluator.seconds, f"evaluator {name}"
    if isinstance(provides, str) or not isinstance(provides, Sequence) or not provides:
        wanted = 'a tuple of the names of its metrics, as in ("top1",)'
        raise BadPlugin(f"{what}: provides must be {wanted}, not {shown(provides)}")
    for metric in provides:
        if not isinstance(metric, str) or not metric.isidentifier():
            raise BadPlugin(f"{what}: provides has {shown(metric)}, which is no name of a metric")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not isfinite(seconds) or seconds < 0:
        raise BadPlugin(f"{what}: seconds must be a number >= 0, not {shown(seconds)}")
    if not isinstance(evaluator.note, str):
        raise BadPlugin(f"{what}: note must be text, not {shown(evaluator.note)}")


def check_metrics(
    found: object, wanted: Collection[str], *, count: int, failed: Collection[int] = ()
) -> dict[str, Floats]:
    """Return the `wanted` metrics of `found`, a float64 array of shape (count,) for each.

    Those of candidates that `failed` may be any numbers.

    Raises:
        BadPlugin: if one is missing, or no such array, or holds percentages for fractions.
    """
    if not isinstance(found, Mapping):
        raise BadPlugin(f"gave {_kind(found)}; expected a mapping of arrays by metric")
    if missing := [name for name in wanted if name not in found]:
        given = ", ".join(map(str, found)) or "nothing"
        raise BadPlugin(f"gave {given}, and no {', '.join(missing)}, which it provides")
    answered = [i for i in range(count) if i not in failed]
    return {name: _floats(found[name], name, count, answered) for name in wanted}


def _floats(values: object, name: str, count: int, answered: list[int]) -> Floats:
    wanted = f"expected an array of floats, shape ({count},)"
    if not isinstance(values, np.ndarray):
        raise BadPlugin(f"gave {_kind(values)} for {name}; {wanted}")
    if values.dtype.kind != "f" or values.shape != (count,):
        raise BadPlugin(f"gave {values.dtype}, shape {values.shape}, for {name}; {wanted}")
    made = values.astype(np.float64, copy=False)
    of_answered = made[answered]
    wrong = of_answered[np.isfinite(of_answered) & ~plausible(name, of_answered)]
    if name in FRACTIONS and len(wrong) and len(wrong) == len(answered):
        least, most = float(wrong.min()), float(wrong.max())
        if least > 1 and most <= _PERCENT:
            raise BadPlugin(
                f"gave {name} of {least:g} to {most:g}; expected fractions, as in "
                f"{least / _PERCENT:g}: divide by 100"
            )
    return made


def check_positions(errors: object, stopped: object, *, count: int) -> None:
    """Refuse `errors` and `stopped` of answers that are not of the batch.

    Raises:
        BadPlugin: saying which.
    """
    if not isinstance(errors, Mapping) or not all(isinstance(e, str) for e in errors.values()):
        raise BadPlugin("gave errors that are no texts by position")
    if not isinstance(stopped, frozenset | set):
        raise BadPlugin(f"gave {_kind(stopped)} for stopped; expected a frozenset")
    for position in (*errors, *stopped):
        if not isinstance(position, int | np.integer) or not 0 <= position < count:
            raise BadPlugin(
                f"gave position {shown(position)} in a batch of {count}; expected 0 to {count - 1}"
            )


def check_deviation(found: object, provides: Collection[str], *, count: int) -> None:
    """Refuse deviations of other metrics, of another shape, or below 0.

    Raises:
        BadPlugin: saying which.
    """
    names = list(found) if isinstance(found, Mapping) else []
    for name, values in check_metrics(found, names, count=count).items():
        if name not in provides:
            raise BadPlugin(f"gave {name}, which the evaluator does not provide")
        if (values < 0).any():
            raise BadPlugin(f"gave {values.min():g} for {name}; expected numbers >= 0")


def _kind(value: object) -> str:
    """Return what a value is, as in "a list" or "None"."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
