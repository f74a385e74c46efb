"""Latency tables: milliseconds per unit, measured or predicted, with prediction intervals.

A table is additive: a network takes `overhead_ms` plus the sum over its units, and what loading its
weights takes if these outgrow the cache (`reload`). The latency of a unit is measured (`entries`),
or else predicted by the operator model; with neither, it raises.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.core.errors import BadValue, MissingEntry
from nas.core.schema import Count, Milliseconds
from nas.core.text import LONGEST_MESSAGE, LONGEST_VALUE, all_or_count, printable, shown
from nas.latency.correction import Correction
from nas.latency.keys import KeyIndex
from nas.latency.predictor import OpModel
from nas.latency.provenance import Provenance, TableError, Validation
from nas.latency.reload import WeightReload, megabytes
from nas.network.arrays import Places, unit_at
from nas.network.blocks import Architecture
from nas.network.cost import cost_of
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.space.lookup import Lookup
from nas.space.space import Matrix, Space

DECIMALS = 6
"""Units and sums are rounded to nanoseconds, so that sums are equal in any order, everywhere."""
_HALFWAY = 1e-5
"""Sums this close to half a nanosecond are added exactly, since their last digit decides."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The milliseconds that one measured unit adds to a network, with their 90 % interval.

    `isolated_ms` is the latency of the unit alone. Tables of other projects have the standard
    deviation of one run, `deviation_ms`, and the number of runs, `count`.
    """

    ms: Milliseconds
    low_ms: Milliseconds
    high_ms: Milliseconds
    isolated_ms: Milliseconds | None = None
    deviation_ms: Milliseconds | None = None
    count: Count | None = None

    def __post_init__(self) -> None:
        if not self.low_ms <= self.ms <= self.high_ms:
            raise BadValue("must have low_ms <= ms <= high_ms", "ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The half-widths of prediction intervals, as fractions.

    The interval is meant to cover a fraction `coverage` of networks; in cross-validation it covered
    `covered`. Its half-width is `relative` times the prediction (`relative_small` below
    `small_below` pixels), and grows by fractions of the latency that is `assumed` without a
    measurement, lies `outside` of the measured range, or, in a table of measured units, is
    `modelled`.
    """

    coverage: float
    covered: float
    relative: float
    relative_small: float
    small_below: int
    assumed: float
    outside: float
    modelled: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLatency:
    """The latency of one unit; see `LatencyTable.outside` and `LatencyTable.extrapolates`."""

    name: str
    key: str
    ms: float
    outside: tuple[str, ...]
    extrapolated: bool = False


_UnitNumbers = tuple[UnitLatency, float, Count]
"""The latency of a unit, its extra uncertainty in milliseconds, and its weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A predicted latency with its interval, its units, and what lies `outside` of the range."""

    ms: float
    low_ms: float
    high_ms: float
    units: tuple[UnitLatency, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """A latency table of one core of one device, for batch size 1.

    `entries` are measured units by `Unit.key`; `model` predicts the others; `lacks` are units that
    the runtime could not run, with its message. `sources` says where the numbers come from, `weak`
    where they are least reliable. A measured table has a `provenance`, the `correction` of units
    that were measured alone, a `reload` where networks of its size need it, and a `validation` once
    it was validated; `elsewhere` are those on other devices, by their names.
    """

    name: str
    device: str
    core: str
    runtime: str
    threads: int
    dtype: str
    sources: tuple[str, ...]
    weak: tuple[str, ...]
    error: TableError
    spread: Spread
    overhead_ms: Milliseconds = 0.0
    entries: Mapping[str, Entry] = field(default_factory=dict)
    model: OpModel | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    correction: Correction | None = None
    reload: WeightReload | None = None
    validation: Validation | None = None
    elsewhere: Mapping[str, Validation] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """The dtype in which networks run, as backends call it: fp32 or int8."""
        return {"float32": "fp32"}.get(self.dtype, self.dtype)  # tables from publications

    @property
    def heading(self) -> str:
        """A one-line description of the table, for lists and for the top of its file."""
        text = f"{self.device}, {self.runtime}, {self.dtype}, {self.threads} thread"
        text += "s" if self.threads > 1 else ""
        return f"{text}, units of {self.provenance.space}" if self.provenance else text

    def covers(self, unit: Unit) -> bool:
        """Return whether `unit_ms` can return the latency of `unit`."""
        if self.lacks and unit.key in self.lacks:
            return False
        return self.model is not None or unit.key in self.entries

    def unit_ms(self, unit: Unit) -> float:
        """Return the milliseconds that `unit` adds to a network, rounded to nanoseconds.

        Raises:
            MissingEntry: if the unit was not measured and the table has no operator model.
        """
        measured = self._measured(unit)
        if measured is not None:
            return round(measured.ms, DECIMALS)
        if not self.covers(unit):
            raise self.missing((unit,))
        return round(fsum(self.parts_ms(unit).values()), DECIMALS)

    def total_ms(self, sums: ArrayLike, weights: ArrayLike) -> Floats:
        """Return the latency of networks, rounded to nanoseconds.

        Their units add up to `sums` milliseconds and have so many `weights` (`weights_of`).
        """
        total = np.asarray(sums, float) + round(self.overhead_ms, DECIMALS)
        if self.reload:
            loaded = self.reload.ms(megabytes(weights, self.precision))
            total = total + np.round(loaded, DECIMALS)
        return np.round(total, DECIMALS)

    def weights_of(self, unit: Unit) -> Count:
        """Return the parameters of a unit, 0 where they make no difference to `total_ms`."""
        return cost_of(unit).params if self.reload else 0

    def inputs(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """Return the numbers of the table's file from which the units `keys` are predicted.

        They are not summed, since the last digit of a sum depends on the version of Python.
        """
        residual = self.model.residual if self.model else None
        return {
            "overhead_ms": self.overhead_ms,
            "model": dict(self.model.coefficients) if self.model else {},
            **({"residual": asdict(residual)} if residual else {}),
            **({"reload": asdict(self.reload)} if self.reload else {}),
            "entries": {key: self.entries[key].ms for key in keys if key in self.entries},
        }

    def parts_ms(self, unit: Unit) -> dict[str, float]:
        """Return the operator model's prediction for a unit, by the name of each count."""
        return self.model.parts_ms(unit) if self.model else {}

    def extra_uncertainty_ms(self, unit: Unit) -> float:
        """Return by how many milliseconds a unit's latency may be off, beyond the usual error.

        It is 0 for measured units. `interval` takes the sum over a network.
        """
        if self.model is None or self._measured(unit):
            return 0.0
        parts = self.parts_ms(unit)
        total = fsum(parts.values())
        assumed = fsum(ms for name, ms in parts.items() if name in self.model.assumed)
        uncertainty = self.spread.assumed * assumed
        uncertainty += self.spread.modelled * total if self.entries else 0.0
        if self.model.beyond(unit):
            uncertainty += self.spread.outside * (total - assumed)
        return round(uncertainty, DECIMALS)

    def extrapolates(self, unit: Unit) -> bool:
        """Return whether this is a table of measured units, but without `unit`."""
        return bool(self.entries) and self._measured(unit) is None

    def _measured(self, unit: Unit) -> Entry | None:
        return self.entries.get(unit.key) if self.entries else None

    def beyond(self, unit: Unit) -> tuple[str, ...]:
        """Return the reasons of `outside`, without those that are merely assumed."""
        if self.model is None or self._measured(unit):
            return ()
        return self.model.beyond(unit)

    def outside(self, unit: Unit) -> tuple[str, ...]:
        """Return, once each, the reasons why `unit` lies outside of the range of the table."""
        if self.model is None or self._measured(unit):
            return ()
        return self.model.reasons(unit)

    def interval(
        self, ms: ArrayLike, *, extra_uncertainty_ms: ArrayLike = 0.0, resolution: ArrayLike = 224
    ) -> tuple[Floats, Floats]:
        """Return the lower and upper ends of the prediction intervals around `ms`.

        The arguments broadcast: milliseconds, the sum of `extra_uncertainty_ms` over the units, and
        the side of the input in pixels. Uncertainties add in quadrature; no lower end is below 0.
        """
        predicted, side = np.asarray(ms, float), np.asarray(resolution)
        spread = self.spread
        relative = np.where(side < spread.small_below, spread.relative_small, spread.relative)
        if self.model is not None:
            low, high = self.model.resolution
            relative = relative + spread.outside * ((side < low) | (side > high))
        half = np.hypot(relative * predicted, extra_uncertainty_ms)
        low_ms, high_ms = np.maximum(predicted - half, 0.0), predicted + half
        return np.round(low_ms, DECIMALS), np.round(high_ms, DECIMALS)

    def predict(self, arch: Architecture) -> Latency:
        """Sum the latency of every unit of `arch`, and `overhead_ms` once.

        Raises:
            MissingEntry: if the table lacks units and has no operator model; see `missing`.
        """
        (latency,) = self.predict_all((arch,))
        return latency

    def predict_all(self, archs: Iterable[Architecture]) -> tuple[Latency, ...]:
        """Return the predictions for `archs`; units that they share are computed once.

        Raises:
            MissingEntry: as `predict` does.
        """
        archs, networks, extras, weights = tuple(archs), [], [], []
        known: dict[Unit, _UnitNumbers] = {}
        named = cache(lambda part, name: replace(part, name=name))  # equal units have many names
        for arch in archs:
            units = lower(arch)
            absent = tuple(unit for unit in units if not self.covers(unit))
            if absent:
                raise self.missing(absent)
            found = [known.get(u) or known.setdefault(u, self._numbers(u)) for u in units]
            networks.append(tuple(named(n[0], u.name) for n, u in zip(found, units, strict=True)))
            extras.append(round(fsum(n[1] for n in found), DECIMALS))
            weights.append(sum(n[2] for n in found))
        ms = self.total_ms([fsum(part.ms for part in parts) for parts in networks], weights)
        sides = [a.resolution for a in archs]
        ends = self.interval(ms, extra_uncertainty_ms=extras, resolution=sides)
        outside = map(self._left, networks, archs)
        rows = zip(ms.tolist(), *(end.tolist() for end in ends), networks, outside, strict=True)
        return tuple(
            Latency(ms=ms, low_ms=low, high_ms=high, units=parts, outside=names)
            for ms, low, high, parts, names in rows
        )

    def _left(self, parts: tuple[UnitLatency, ...], arch: Architecture) -> tuple[str, ...]:
        """Return, once each, the reasons why a network lies outside of the range."""
        first = self.model.resolution_reasons(arch.resolution) if self.model else ()
        return tuple(dict.fromkeys([*first, *(name for part in parts for name in part.outside)]))

    def _numbers(self, unit: Unit) -> _UnitNumbers:
        part = UnitLatency(
            name=unit.name,
            key=unit.key,
            ms=self.unit_ms(unit),
            outside=self.outside(unit),
            extrapolated=self.extrapolates(unit),
        )
        uncertain = part.outside or self.entries
        extra_ms = self.extra_uncertainty_ms(unit) if uncertain else 0.0
        return part, extra_ms, self.weights_of(unit)

    def over(self, space: Space) -> Callable[[Matrix], Floats]:
        """Return the vectorised form of `predict` for one space.

        The function takes a matrix of picks, shape (n, columns), and returns milliseconds, shape
        (n,); it looks units up, at millions of architectures per second.

        Raises:
            MissingEntry: if the table has neither an entry nor a model for some unit.
        """
        table = UnitTable(self)
        lookup = Lookup(
            space, lambda units: (table.ms(units, table.locate(units)), self.weights_of(units))
        )
        return lambda matrix: self.total_ms(*lookup(matrix).T)

    def missing(self, units: Sequence[Unit]) -> MissingEntry:
        """Return the error that names missing units, as many as fit into a message."""
        imported = self.model is None and self.provenance is None
        why = "has no operator model (nas latency import --fit-model fits one), and " * imported
        start = f"latency table {shown(self.name)} {why}was not measured for: "
        texts = [self._lacking(key) for key in dict.fromkeys(unit.key for unit in units)]
        return MissingEntry(start + all_or_count(texts, LONGEST_MESSAGE - len(start)))

    def _lacking(self, key: str) -> str:
        """Return `key`, with the runtime's message if it could not run that unit."""
        return f"{key} ({printable(self.lacks[key], LONGEST_VALUE)})" if key in self.lacks else key


class UnitTable:
    """A latency table for units of arrays, as returned by `nas.network.arrays.lower_arrays`."""

    def __init__(self, table: LatencyTable) -> None:
        """Prepare `table`."""
        self._table = table
        self._entries, self._refused = KeyIndex(table.entries), KeyIndex(table.lacks)
        measured = [entry.ms for entry in table.entries.values()]
        self._measured: Floats = np.array([*measured, np.nan])

    def locate(self, units: Unit) -> Places:
        """Return the place of each unit among the entries of the table, -1 if it has none."""
        return self._entries.find(units)

    def ms(self, units: Unit, places: Places) -> Floats:
        """Return `LatencyTable.unit_ms` of each unit, given their places.

        Raises:
            MissingEntry: if units were not measured and the table has no operator model.
        """
        table, modelled = self._table, np.zeros(len(places))
        absent = (places < 0) & ((table.model is None) | (self._refused.find(units) >= 0))
        if absent.any():
            raise table.missing([unit_at(units, i) for i in np.flatnonzero(absent).tolist()])
        for ms in table.parts_ms(units).values():
            modelled += ms
        exact: Floats = np.where(places < 0, modelled, self._measured[places])
        rounded = exact.round(DECIMALS)
        halfway = np.abs(np.abs(exact - rounded) * 10**DECIMALS - 0.5) < _HALFWAY
        for i in np.flatnonzero(halfway).tolist():
            rounded[i] = table.unit_ms(unit_at(units, i))
        return rounded

    def extra_uncertainty_ms(self, units: Unit, places: Places, beyond: Flags) -> Floats:
        """Return `LatencyTable.extra_uncertainty_ms` of each unit, not rounded."""
        table, total, assumed = self._table, np.zeros(len(places)), np.zeros(len(places))
        if table.model is None:
            return total
        for name, ms in table.parts_ms(units).items():
            total += ms
            assumed += ms if name in table.model.assumed else 0.0
        extra = table.spread.assumed * assumed + table.spread.outside * beyond * (total - assumed)
        extra += table.spread.modelled * total if table.entries else 0.0
        return np.where(places < 0, extra, 0.0)

    def beyond(self, units: Unit, places: Places) -> Iterator[tuple[Flags, str]]:
        """Yield each reason of `LatencyTable.beyond`, preceded by a mask of units it applies to."""
        for is_so, name in self._table.model.outside(units) if self._table.model else ():
            yield (places < 0) & is_so, name


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """Return "sha256:" and 16 hex digits of `LatencyTable.inputs`."""
    text = json.dumps(inputs, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
