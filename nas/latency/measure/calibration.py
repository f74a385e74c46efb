"""Fit the correction for the boundaries between units, on networks that were measured whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.latency.correction import FEATURES, WHOLE, Boundary, features
from nas.network.layers import Unit

Floats = NDArray[np.float64]

_STRENGTHS = tuple(float(10**power) for power in np.arange(-4.0, 0.01, 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that was measured whole: its units, what each took alone, and the whole, in ms."""

    units: Sequence[Unit]
    isolated_ms: Sequence[float]
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fitted correction, and its relative error on each network when that was left out."""

    boundary: Boundary
    errors: Floats


def calibrate(networks: Sequence[Network]) -> Calibration:
    """Return the correction that brings the sums of units to the networks' latency.

    A ridge regression of the relative error, drawn to a factor of 1: where the networks say
    nothing, units keep what they took alone. How strongly it is drawn is chosen by
    leaving one network out at a time.

    Raises:
        ValueError: if there are no networks.
    """
    if not networks:
        raise ValueError("a correction is fitted on networks, and there are none")
    rows = np.array([_row(network) for network in networks])
    prior = (np.array(FEATURES) == WHOLE).astype(float)
    fits = [_ridge(rows, prior, strength) for strength in _STRENGTHS]
    solution, errors = min(fits, key=lambda fit: float((fit[1] ** 2).sum()))
    coefficients = dict(zip(FEATURES, solution.tolist(), strict=True))
    return Calibration(boundary=Boundary(coefficients=coefficients), errors=errors)


def _row(network: Network) -> Floats:
    """Return the features of a network: those of its units, weighted by their share of its time."""
    shares = np.array(network.isolated_ms) / network.ms
    return np.asarray(shares @ np.array([features(unit) for unit in network.units]))


def _ridge(rows: Floats, prior: Floats, strength: float) -> tuple[Floats, Floats]:
    """Return the solution of rows @ x = 1 near `prior`, and the errors with each row left out."""
    inverse = np.linalg.inv(rows.T @ rows + strength * len(rows) * np.eye(rows.shape[1]))
    solution = prior + inverse @ rows.T @ (1 - rows @ prior)
    leverage = np.einsum("ij,jk,ik->i", rows, inverse, rows)
    return solution, (rows @ solution - 1) / (1 - leverage)
