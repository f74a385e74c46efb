"""Searching in fp32, int8 or both: a latency table for each, and what int8 costs in accuracy.

Where both are searched, the dtype is the last choice of the space (`Space.dtypes`). Evaluators are
given rows without it, and are told which of them run in int8 (`Candidates.int8`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.accuracy.int8_drop import KINDS, DropModel, channels_of, load_drop_model
from nas.accuracy.predictor import DECIMALS
from nas.core.errors import BadValue, NasError
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.searching.metrics import FRACTIONS
from nas.searching.problem import Answers, Candidates, Evaluator, Floats, Metrics, answers
from nas.space.lookup import Lookup, SpaceUnits
from nas.space.space import INT8, Space

FP32, LOWER_BOUND = "fp32", "top1_lcb"
DTYPES = (FP32, INT8)
_SAMPLE = 256
"""Random networks that tell whether a space has swish."""
NOT_LOWERED = "latency_ms is that of int8; the accuracy is not lowered for it: `dtype=int8` does so"


def dtypes_of(text: str) -> tuple[str, ...]:
    """Return the dtypes that a search's `dtype` names, fp32 first; none for an empty text.

    Raises:
        BadValue: if it names others, or nothing between commas.
    """
    named = [name.strip() for name in text.split(",")] if text else []
    if not set(named) <= set(DTYPES):
        raise BadValue(f"dtype must be fp32, int8 or fp32,int8, not {text!r}", "dtype")
    return tuple(dtype for dtype in DTYPES if dtype in named)


def table_names(text: str) -> tuple[str, ...]:
    """Return the latency tables that a search's `latency_table` names, one or two with a comma."""
    names = (text,) if Path(text).is_file() else tuple(name.strip() for name in text.split(","))
    return tuple(filter(None, names)) or (text,)


def named_table(latency_table: str, dtype: str, wanted: str = "") -> str:
    """Return the name of the table for the dtype `wanted`, from the settings of a run.

    It is the first one by default, and where the run has no dtypes.
    """
    names, dtypes = table_names(latency_table), dtypes_of(dtype)
    return names[dtypes.index(wanted)] if wanted in dtypes[: len(names)] else names[0]


def tables_for(
    latency_table: str, dtype: str, *, load: Callable[[str], LatencyTable] = load_table
) -> Mapping[str, tuple[str, LatencyTable]]:
    """Return the tables of a search with their names, by dtype; for an empty dtype one, as "".

    Two tables stand for both dtypes. A table that is not named is looked for beside one that is:
    that of the name with the other dtype.

    Raises:
        NasError: if there is none for a dtype, or they are of different devices.
    """
    named: dict[str, tuple[str, LatencyTable]] = {}
    for name in dict.fromkeys(table_names(latency_table)):
        table = load(name)
        if table.precision in named:
            raise NasError(f"latency_table names more than one table in {table.precision}")
        named[table.precision] = name, table
    if len(named) == 1 and not dtype:
        return {"": next(iter(named.values()))}
    wanted = dtypes_of(dtype) or DTYPES
    found = {one: named.get(one) or _beside(one, *next(iter(named.values()))) for one in wanted}
    _check_alike([table for _, table in found.values()])
    for name, _ in found.values() if len(found) > 1 else ():
        if "," in name:
            raise NasError(f"latency table {name}: its path must have no comma beside another one")
    return found


def table_for(latency_table: str, dtype: str) -> LatencyTable:
    """Return the one table for a `dtype`, or the one that is named.

    Raises:
        NasError: see `tables_for`; or if there are two.
    """
    found = tables_for(latency_table, dtype)
    if len(found) > 1:
        raise NasError(f"latency_table names tables for {' and '.join(found)}; name one of them")
    ((_, table),) = found.values()
    return table


def _beside(dtype: str, name: str, table: LatencyTable) -> tuple[str, LatencyTable]:
    """Return the table that is called like `table`, but for its `dtype`."""
    path = Path(name)
    other = str(path.with_name(path.name.replace(f"_{table.precision}_", f"_{dtype}_")))
    with suppress(NasError):  # the error below says what to do
        if (found := load_table(other)).precision == dtype:
            return other, found
    raise NasError(
        f"dtype {dtype} needs a latency table in {dtype}, and {name} is in {table.precision}; "
        f"measure one (nas latency measure --dtype {dtype}), and name both: "
        f"`latency_table={name},OTHER.yaml`"
    )


def _check_alike(tables: Sequence[LatencyTable]) -> None:
    """Refuse tables whose latencies do not compare."""
    first, *others = tables
    for table in others:
        if (table.device, table.threads) != (first.device, first.threads):
            raise NasError(
                f"latency tables {first.name} and {table.name} do not compare: {first.device}, "
                f"{first.threads} thread(s), and {table.device}, {table.threads}; measure both on "
                "one device"
            )


@dataclass(frozen=True, slots=True)
class ByDtype:
    """Asks one exact evaluator about candidates in fp32, another about those in int8."""

    fp32: Evaluator
    int8: Evaluator

    @property
    def provides(self) -> tuple[str, ...]:
        """The metrics, which both give."""
        return self.fp32.provides

    @property
    def seconds(self) -> float:
        """Typical seconds for one candidate."""
        return self.fp32.seconds

    @property
    def note(self) -> str:
        """What both say."""
        return "\n".join(dict.fromkeys(filter(None, (self.fp32.note, self.int8.note))))

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the metrics of every candidate, in its dtype."""
        assert candidates.int8 is not None  # it is made for a search with dtypes
        plain, whole = (answers(e, candidates).metrics for e in (self.fp32, self.int8))
        return {n: np.where(candidates.int8, whole[n], plain[n]) for n in self.provides}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the numbers are exact."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return f"fp32 {self.fp32}, int8 {self.int8}"


Second = Callable[[Candidates], Floats | None]


@dataclass(frozen=True, kw_only=True)
class Int8Accuracy:
    """An evaluator of accuracy whose numbers for int8 are lowered by a `DropModel`.

    `top1_lcb`, its lower confidence bound, falls by the deviation of the loss as well. `swish` is
    whether networks of the space have that. What the evaluator can say besides (`Evaluator`), it
    says here.
    """

    inner: Evaluator
    model: DropModel
    channels: Lookup
    swish: bool = False
    outside: Callable[[float], str] | None = None
    beyond: Callable[[Candidates], Sequence[str]] | None = None

    @property
    def provides(self) -> tuple[str, ...]:
        """The metrics of the evaluator."""
        return self.inner.provides

    @property
    def guide(self) -> str:
        """The metric that a search maximises by default."""
        return str(getattr(self.inner, "guide", self.inner.provides[0]))

    @property
    def at_once(self) -> int | None:
        """Candidates for a call, where the evaluator says so."""
        return getattr(self.inner, "at_once", None)

    @property
    def first_at_once(self) -> int | None:
        """The same for the first call."""
        return getattr(self.inner, "first_at_once", self.at_once)

    @property
    def seconds(self) -> float:
        """Typical seconds for one candidate."""
        return self.inner.seconds

    @property
    def note(self) -> str:
        """The note of the evaluator, and how numbers for int8 come about."""
        metric = self.inner.provides[0]
        lowered = f"{metric}: {self.model.note} ({self.model.networks} losses; ± includes it)"
        swish = f"{metric}: {self.model.about_swish}" if self.swish else ""
        return "\n".join(filter(None, (self.inner.note, lowered, swish)))

    def __call__(self, candidates: Candidates) -> Answers:
        """Return the metrics of every candidate, those in int8 lowered."""
        found = answers(self.inner, candidates)
        loss, uncertainty = self._losses(candidates)
        mean = found.metrics[self.provides[0]]
        lowered = {n: _reduced(v, loss) for n, v in found.metrics.items() if n in FRACTIONS}
        if LOWER_BOUND in found.metrics:
            distance = np.hypot(mean - found.metrics[LOWER_BOUND], uncertainty)
            bound = found.metrics[LOWER_BOUND]
            lowered[LOWER_BOUND] = _reduced(
                bound, np.where(uncertainty > 0, bound - mean + loss + distance, 0)
            )
        return replace(found, metrics={**found.metrics, **lowered})

    def _losses(self, candidates: Candidates) -> tuple[Floats, Floats]:
        """Return the loss of every candidate and its deviation, 0 in fp32."""
        assert candidates.int8 is not None  # it is made for a search with dtypes
        loss, uncertainty = self.model(self.channels(candidates.picks))
        return loss * candidates.int8, uncertainty * candidates.int8

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return the standard deviation of every prediction, with that of the loss in int8.

        Where the evaluator gives none, it is that of the loss alone, and NaN in fp32.
        """
        metric, (_, uncertainty) = self.provides[0], self._losses(candidates)
        own = self.inner.deviation(candidates).get(metric)
        return {
            metric: np.where(uncertainty > 0, uncertainty, np.nan)
            if own is None
            else np.hypot(own, uncertainty)
        }

    def judged(self, candidates: Candidates) -> Floats | None:
        """Return the second opinion of the evaluator, lowered alike, if it has one."""
        second: Second | None = getattr(self.inner, "judged", None)
        found = second(candidates) if second else None
        return None if found is None else _reduced(found, self._losses(candidates)[0])

    @property
    def earlier(self) -> frozenset[str]:
        """None: earlier versions had no dtypes."""
        return frozenset()

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        losses = [f"{n}={100 * v:g}" for n, v in self.model.drop.items()]
        return f"{self.inner} less in int8 {','.join(losses)}"


def _reduced(values: Floats, loss: Floats) -> Floats:
    """Return `values` less `loss`, at least 0 and rounded, where that is not 0."""
    less = np.round(np.maximum(values - loss, 0.0), DECIMALS)
    return np.asarray(np.where(loss > 0, less, values), np.float64)


def in_dtypes(
    evaluator: Evaluator, space: Space, units: SpaceUnits, dtypes: Sequence[str]
) -> Evaluator:
    """Return `evaluator` for a search in `dtypes`: in int8 its accuracy is lowered.

    An evaluator with an attribute `int8` that is true measures the accuracy in int8 itself.

    Raises:
        NasError: if it gives no accuracy that could be compared between dtypes.
    """
    measures = bool(getattr(evaluator, "int8", False))
    if measures and INT8 not in dtypes:
        raise NasError("the evaluator measures in int8, which is not searched: give `dtype=int8`")
    if INT8 not in dtypes or measures:
        return evaluator
    if evaluator.provides[0] not in FRACTIONS:
        if len(dtypes) > 1 and evaluator.provides[0] != "macs":
            raise NasError(
                f"{evaluator.provides[0]} does not tell fp32 from int8; search in one `dtype`, or "
                "by an accuracy"
            )
        return evaluator
    said: Mapping[str, Any] = {
        name: getattr(evaluator, name, None) for name in ("outside", "beyond")
    }
    channels = Lookup(space, channels_of, units=units)
    some = channels(space.plain.sample_matrix(np.random.default_rng(0), _SAMPLE))
    swish = bool((some[:, KINDS.index("swish")] > 0).any())
    model = load_drop_model()
    return Int8Accuracy(inner=evaluator, model=model, channels=channels, swish=swish, **said)
