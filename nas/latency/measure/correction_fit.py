"""Fit the correction of units that were measured alone, on networks measured end to end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.latency.correction import FEATURES, Correction, added_ms, features, own_ms
from nas.latency.measure.estimates import Floats
from nas.latency.predictor import COUNTS, FINER, counts_of
from nas.latency.reload import WeightReload
from nas.network.layers import Unit

_COUNTS = (*COUNTS, *FINER)
_COEFFICIENTS = len(FEATURES) + len(_COUNTS)
_ENOUGH = 3 * _COEFFICIENTS
_CLEARLY = 0.75
_STRENGTHS = tuple(float(10**power) for power in np.arange(-4.0, 0.01, 0.5))
_STRENGTHS_WITH_TERMS = _STRENGTHS[2:]
_LITTLE = 1e-3
_CACHES_MB = tuple(float(2 ** (power / 2)) for power in range(-6, 11))
"""Sizes of caches to try, from an eighth of a megabyte to 32."""
_FITS, _MISSES = 0.5, 1.25
"""Weights up to half of a cache stay there, beside all else; a quarter more than it holds do not.

Found on a core with 2 MB: of these and eight other pairs, it has the least error."""
_MIN_EACH = 8
"""So many networks must lie below and above a cache for it to be told from the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredNetwork:
    """A network measured end to end (`ms`): its units, and what each of them took alone.

    `weights_mb` are the megabytes of its weights.
    """

    units: Sequence[Unit]
    isolated_ms: Sequence[float]
    ms: float
    weights_mb: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionFit:
    """A fitted correction, and its relative error on each network when that was left out.

    `reload` is what loading weights takes, where that explains much of the error.
    """

    correction: Correction
    errors: Floats
    reload: WeightReload | None = None


def fit_correction(networks: Sequence[MeasuredNetwork], *, fixed_ms: float = 0.0) -> CorrectionFit:
    """Return the correction by which the sums over units best equal the networks' latency.

    A regression of the relative error. Of all corrections that fit alike it takes the one that
    changes the units least, in the mean of the squares, or without terms the one whose coefficients
    change least; how much that weighs is chosen by leave-one-out cross-validation of what a table
    would predict, where no unit adds less than `added_ms` allows. Terms are fitted where there are
    three networks or more for each coefficient, or one or more and terms make that error smaller by
    a quarter, as what loading weights takes (`WeightReload`) must. `fixed_ms` is what any run
    costs, of a network too.

    Raises:
        ValueError: if there are no networks.
    """
    if not networks:
        raise ValueError("a correction is fitted on networks, and there are none")
    sample = _Sample.of(networks, fixed_ms, ())
    best = sample.fit()
    if len(networks) >= _COEFFICIENTS:
        finer = _Sample.of(networks, fixed_ms, _COUNTS)
        likely = finer.fit()
        if len(networks) >= _ENOUGH or _clearly_better(likely, best):
            sample, best = finer, likely
    loads = [sample.fit(cache) for cache in _caches(networks)]
    likely = min(loads, key=_squares, default=best)
    return likely if likely.reload and _clearly_better(likely, best) else best


def _clearly_better(one: CorrectionFit, other: CorrectionFit) -> bool:
    return bool(np.abs(one.errors).mean() < _CLEARLY * np.abs(other.errors).mean())


def _squares(fit: CorrectionFit) -> float:
    return float((fit.errors**2).sum())


def _caches(networks: Sequence[MeasuredNetwork]) -> Iterator[WeightReload]:
    """Yield caches that some networks fit into and others do not, with 1 ms for a megabyte."""
    sizes = np.array([network.weights_mb for network in networks])
    for mb in _CACHES_MB:
        cache = WeightReload(fits_mb=_FITS * mb, misses_mb=_MISSES * mb, ms_per_mb=1.0)
        apart = (sizes <= cache.fits_mb).sum(), (sizes >= cache.misses_mb).sum()
        if min(apart) >= _MIN_EACH:
            yield cache


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Networks as fractions of their latency: what their units take, and what is to be explained.

    `shares` has a row for each unit of a network, as `_parts`; `counts` are the names of terms.
    """

    counts: Sequence[str]
    shares: Sequence[Floats]
    wanted: Floats
    ms: Floats
    weights_mb: Floats
    scale: Floats
    penalty: Floats

    @classmethod
    def of(
        cls, networks: Sequence[MeasuredNetwork], fixed_ms: float, counts: Sequence[str]
    ) -> "_Sample":
        """Return the sample of `networks`."""
        parts, ms = [_parts(n, fixed_ms, counts) for n in networks], [n.ms for n in networks]
        scale, penalty = (
            _change(np.concatenate(parts)) if counts else _coefficients_alone(len(FEATURES))
        )
        return cls(
            counts=counts,
            shares=[part / one for part, one in zip(parts, ms, strict=True)],
            wanted=1 - fixed_ms / np.array(ms),
            ms=np.array(ms),
            weights_mb=np.array([n.weights_mb for n in networks]),
            scale=scale,
            penalty=len(ms) * penalty,
        )

    def fit(self, cache: WeightReload | None = None) -> CorrectionFit:
        """Return the fit of the best strength, with what a megabyte takes that `cache` misses."""
        loads = (cache.ms(self.weights_mb) / self.ms)[:, None] if cache else None
        strengths = _STRENGTHS_WITH_TERMS if self.counts else _STRENGTHS
        fits = [self._fit(strength, loads) for strength in strengths]
        solution, errors = min(fits, key=lambda fit: float((fit[1] ** 2).sum()))
        size = len(self.scale)
        found = (solution[:size] / self.scale).tolist()
        correction = Correction(
            **dict(zip(FEATURES, found, strict=False)),
            terms=dict(zip(self.counts, found[len(FEATURES) :], strict=True)),
        )
        if cache is None or solution[size] <= 0:
            return CorrectionFit(correction=correction, errors=errors)
        loading = replace(cache, ms_per_mb=round(float(solution[size]), 6))
        return CorrectionFit(correction=correction, errors=errors, reload=loading)

    def _fit(self, strength: float, loads: Floats | None) -> tuple[Floats, Floats]:
        """Return scaled coefficients, and the error on each network when that was left out.

        The last coefficient is that of `loads`, if there are any; it is not penalised.
        """
        rows, size = np.array([share.sum(axis=0) / self.scale for share in self.shares]), 0
        if loads is not None:
            rows, size = np.concatenate([rows, loads], axis=1), 1
        prior, penalty = np.eye(rows.shape[1])[0], np.pad(strength * self.penalty, (0, size))
        solution, without = _ridge(rows, self.wanted, prior, penalty)
        own = without[:, : len(self.scale)] / self.scale
        predicted = [_added(share, one) for share, one in zip(self.shares, own, strict=True)]
        loaded = 0.0 if loads is None else loads[:, 0] * without[:, -1]
        return solution, np.array(predicted) + loaded - self.wanted


def _change(units: Floats) -> tuple[Floats, Floats]:
    """Return scales of the coefficients, and what a difference from the prior costs.

    That is the mean square of what it changes of a unit, as a share of the unit's own time.
    """
    shares = units / units[:, :1]
    scale = np.sqrt((shares**2).mean(axis=0))
    scale[scale == 0] = 1.0
    return scale, (shares / scale).T @ (shares / scale) / len(shares) + _LITTLE * np.eye(len(scale))


def _coefficients_alone(coefficients: int) -> tuple[Floats, Floats]:
    """Return the same where a difference costs the square of what each coefficient changes."""
    return np.ones(coefficients), np.eye(coefficients)


def _parts(network: MeasuredNetwork, fixed_ms: float, names: Sequence[str]) -> Floats:
    """Return a row for each unit, in milliseconds for a coefficient of 1.

    First its own time times `features`, of which the first is 1, then what it counts by `names`.
    """
    own = np.array([own_ms(ms, fixed_ms) for ms in network.isolated_ms])
    inside = own[:, None] * np.array([features(unit) for unit in network.units])
    if not names:
        return np.asarray(inside)
    counted = [counts_of(unit) for unit in network.units]
    beside = 1e-6 * np.array([[counts.get(name, 0) for name in names] for counts in counted])
    return np.concatenate([inside, beside], axis=1)


def _added(shares: Floats, coefficients: Floats) -> float:
    """Return the sum of what the units of a network add to it."""
    return float(np.sum(added_ms(shares @ coefficients, shares[:, 0])))


def _ridge(rows: Floats, wanted: Floats, prior: Floats, penalty: Floats) -> tuple[Floats, Floats]:
    """Return the solution of rows @ x = wanted near `prior`, and the solutions without each row.

    A difference d from `prior` costs d @ penalty @ d.
    """
    inverse = np.linalg.inv(rows.T @ rows + penalty)
    solution = prior + inverse @ rows.T @ (wanted - rows @ prior)
    leverage = np.einsum("ij,jk,ik->i", rows, inverse, rows)
    without = ((rows @ solution - wanted) / (1 - leverage))[:, None] * (rows @ inverse)
    return solution, solution + without
