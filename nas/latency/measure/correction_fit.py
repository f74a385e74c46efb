"""Fit the correction of units that were measured alone, on networks measured end to end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.latency.correction import FEATURES, TERMS, Correction, features, own_ms, terms
from nas.latency.measure.estimates import Floats
from nas.network.layers import Unit

_TINY = 1e-12
_STRENGTHS = tuple(float(10**power) for power in np.arange(-4.0, 0.01, 0.5))


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

    A ridge regression of the relative error towards a factor of 1 and no terms, whose strength is
    chosen by leave-one-out cross-validation. `fixed_ms` is what any run costs, of a network too.

    Raises:
        ValueError: if there are no networks.
    """
    if not networks:
        raise ValueError("a correction is fitted on networks, and there are none")
    names = (*FEATURES, *TERMS)
    rows = np.array([_row(network, fixed_ms) for network in networks])
    scale = np.where(np.isin(names, TERMS), np.maximum(rows.std(axis=0), _TINY), 1.0)
    wanted = np.array([1 - fixed_ms / network.ms for network in networks])
    prior = (np.array(names) == "whole").astype(float)
    fits = [_ridge(rows / scale, wanted, prior, strength) for strength in _STRENGTHS]
    solution, errors = min(fits, key=lambda fit: float((fit[1] ** 2).sum()))
    coefficients = dict(zip(names, (solution / scale).tolist(), strict=True))
    return CorrectionFit(correction=Correction(**coefficients), errors=errors)


def _row(network: MeasuredNetwork, fixed_ms: float) -> Floats:
    """Return a network's features, those of its units by their share of its time, and its terms."""
    shares = np.array([own_ms(ms, fixed_ms) for ms in network.isolated_ms]) / network.ms
    inside = shares @ np.array([features(unit) for unit in network.units])
    beside = np.array([terms(unit) for unit in network.units]).sum(axis=0) / network.ms
    return np.concatenate([inside, beside])


def _ridge(rows: Floats, wanted: Floats, prior: Floats, strength: float) -> tuple[Floats, Floats]:
    """Return the solution of rows @ x = wanted near `prior`, and errors with each row left out."""
    inverse = np.linalg.inv(rows.T @ rows + strength * len(rows) * np.eye(rows.shape[1]))
    solution = prior + inverse @ rows.T @ (wanted - rows @ prior)
    leverage = np.einsum("ij,jk,ik->i", rows, inverse, rows)
    return solution, (rows @ solution - wanted) / (1 - leverage)
