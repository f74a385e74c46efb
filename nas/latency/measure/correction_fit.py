"""Fit the correction of units that were measured alone, on networks measured end to end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.latency.correction import FEATURES, Correction, added_ms, features, own_ms
from nas.latency.measure.estimates import Floats
from nas.latency.predictor import COUNTS, FINER, counts_of
from nas.network.layers import Unit

_COUNTS = (*COUNTS, *FINER)
_ENOUGH = 3 * (len(FEATURES) + len(_COUNTS))
_STRENGTHS = tuple(float(10**power) for power in np.arange(-4.0, 0.01, 0.5))
_STRENGTHS_WITH_TERMS = _STRENGTHS[2:]
_LITTLE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredNetwork:
    """A network measured end to end (`ms`): its units, and what each of them took alone."""

    units: Sequence[Unit]
    isolated_ms: Sequence[float]
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionFit:
    """A fitted correction, and its relative error on each network when that was left out."""

    correction: Correction
    errors: Floats


def fit_correction(networks: Sequence[MeasuredNetwork], *, fixed_ms: float = 0.0) -> CorrectionFit:
    """Return the correction by which the sums over units best equal the networks' latency.

    A regression of the relative error, with terms where there are three networks or more for each
    coefficient. Of all corrections that fit alike it then takes the one that changes the units
    least, in the mean of the squares, otherwise the one whose coefficients change least; how much
    that weighs is chosen by leave-one-out cross-validation of what a table would predict, where no
    unit adds less than `added_ms` allows. `fixed_ms` is what any run costs, of a network too.

    Raises:
        ValueError: if there are no networks.
    """
    if not networks:
        raise ValueError("a correction is fitted on networks, and there are none")
    counts = _COUNTS if len(networks) >= _ENOUGH else ()
    parts = [_parts(network, fixed_ms, counts) for network in networks]
    shares = [part / one.ms for part, one in zip(parts, networks, strict=True)]
    wanted = np.array([1 - fixed_ms / network.ms for network in networks])
    scale, penalty = (
        _change(np.concatenate(parts)) if counts else _coefficients_alone(len(FEATURES))
    )
    prior = np.eye(len(scale))[0]
    fits = [
        _fit(shares, wanted, scale, prior, strength * len(shares) * penalty)
        for strength in (_STRENGTHS_WITH_TERMS if counts else _STRENGTHS)
    ]
    solution, errors = min(fits, key=lambda fit: float((fit[1] ** 2).sum()))
    found = (solution / scale).tolist()
    factor = dict(zip(FEATURES, found, strict=False))
    terms = dict(zip(counts, found[len(FEATURES) :], strict=True))
    return CorrectionFit(correction=Correction(**factor, terms=terms), errors=errors)


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


def _fit(
    shares: Sequence[Floats], wanted: Floats, scale: Floats, prior: Floats, penalty: Floats
) -> tuple[Floats, Floats]:
    """Return scaled coefficients, and the error on each network when that was left out.

    `shares` has a row for each unit of a network, as `_parts`, as fractions of its latency.
    """
    rows = np.array([share.sum(axis=0) / scale for share in shares])
    solution, without = _ridge(rows, wanted, prior, penalty)
    predicted = [_added(share, one / scale) for share, one in zip(shares, without, strict=True)]
    return solution, np.array(predicted) - wanted


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
