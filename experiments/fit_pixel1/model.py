"""Fit the coefficients, and measure their errors on held-out networks."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.optimize import nnls  # scripts need not load fast

from experiments.fit_pixel1.rows import Row
from nas.accuracy.predictor import Floats
from nas.latency.predictor import COUNTS

FITTED = tuple(name for name in COUNTS if name not in ("hswish", "swish"))
REFERENCE = "tflite2018"
LARGE = 160
ROUNDS = 50
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Hswish:
    """Nanoseconds that h-swish takes for one element, without and with an optimised kernel."""

    plain: float
    optimised: float

    def ms(self, row: Row) -> float:
        """Return the milliseconds that `row` spends on h-swish."""
        each = self.plain if row.plain_hswish else self.optimised
        return row.counts.get("hswish", 0) * each / _NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Coefficients in nanoseconds of the reference runtime, and one factor for each runtime."""

    coefficients: dict[str, float]
    factors: dict[str, float]
    hswish: Hswish

    def ms(self, row: Row) -> float:
        """Return the predicted milliseconds; an unknown runtime counts as the reference."""
        linear = sum(ns * row.counts.get(name, 0) for name, ns in self.coefficients.items())
        return self.factors.get(row.build, 1.0) * linear / _NS_PER_MS + self.hswish.ms(row)


def measure_hswish(rows: Sequence[Row]) -> Hswish:
    """Compare MobileNetV3-Large with h-swish in more or fewer layers to the one without.

    Regresses milliseconds on elements through the origin, once for each kernel.
    """
    base = next(row for row in rows if row.name == "MobileNetV3-Large-ReLU")
    kin = [row for row in rows if row.family == base.family and "hswish" in row.counts]

    def slope(plain: bool) -> float:
        chosen = [row for row in kin if row.plain_hswish is plain]
        elements = np.array([row.counts["hswish"] for row in chosen])
        extra = np.array([row.ms - base.ms for row in chosen])
        return float(elements @ extra / (elements @ elements)) * _NS_PER_MS

    return Hswish(plain=slope(True), optimised=slope(False))


def fit(networks: Sequence[Row], blocks: Sequence[Row], hswish: Hswish) -> Fit:
    """Fit by non-negative least squares on relative errors, networks and blocks weighted equally.

    Coefficients and runtime factors are fitted in turns until both converge.
    """
    rows = [*networks, *blocks]
    counts = np.array([[row.counts.get(name, 0) for name in FITTED] for row in rows]) / _NS_PER_MS
    published = np.array([row.ms for row in rows])
    target = published - np.array([hswish.ms(row) for row in rows])
    weight = np.r_[np.full(len(networks), 1 / len(networks)), np.full(len(blocks), 1 / len(blocks))]
    root = np.sqrt(weight) / published
    builds = np.array([row.build for row in rows])
    factors = {str(build): 1.0 for build in sorted(set(builds))}
    for _ in range(ROUNDS):
        factor = np.array([factors[build] for build in builds])
        solution = _nnls(counts * (factor * root)[:, None], target * root)
        linear = counts @ solution
        for build in set(factors) - {REFERENCE}:
            a, b = (linear * root)[builds == build], (target * root)[builds == build]
            factors[build] = float(a @ b / (a @ a))
    return Fit(
        coefficients=dict(zip(FITTED, map(float, solution), strict=True)),
        factors=factors,
        hswish=hswish,
    )


def _nnls(left: Floats, right: Floats) -> Floats:
    """Solve for coefficients >= 0 after scaling the columns."""
    scale = np.linalg.norm(left, axis=0)
    scale[scale == 0] = 1.0
    return np.asarray(nnls(left / scale, right)[0] / scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """A network predicted by a fit that did not see its group."""

    row: Row
    group: str
    predicted: float
    runtime_known: bool

    @property
    def error(self) -> float:
        """Predicted over published, minus one."""
        return self.predicted / self.row.ms - 1

    @property
    def surprise(self) -> float:
        """The distance of the published number from the predicted one, relative to the latter."""
        return abs(self.row.ms / self.predicted - 1)


def by_family(row: Row) -> str:
    """Group whole families."""
    return row.family


def by_width(row: Row) -> str:
    """Group the widths of the two large families."""
    return f"{row.family} width {row.name.split('-')[-2]}" if _is_large(row) else row.family


def by_resolution(row: Row) -> str:
    """Group the resolutions of the two large families."""
    return f"{row.family} at {row.resolution}" if _is_large(row) else row.family


def _is_large(row: Row) -> bool:
    return row.family in ("MobileNetV2", "MnasNet-A1")


def cross_validate(
    networks: Sequence[Row], blocks: Sequence[Row], group: Callable[[Row], str]
) -> list[Residual]:
    """Predict every group of networks by a fit of all others."""
    hswish = measure_hswish(networks)
    residuals = []
    for name in sorted({group(row) for row in networks}):
        kept = [row for row in networks if group(row) != name]
        fitted = fit(kept, blocks, hswish)
        known = {row.build for row in kept}
        residuals += [
            Residual(
                row=row, group=name, predicted=fitted.ms(row), runtime_known=row.build in known
            )
            for row in networks
            if group(row) == name
        ]
    return residuals


def extrapolate(
    networks: Sequence[Row], blocks: Sequence[Row], beyond: Callable[[Row], bool]
) -> list[Residual]:
    """Predict all networks `beyond` a bound by a fit of networks and blocks within it."""
    hswish = measure_hswish(networks)
    kept = [row for row in networks if not beyond(row)]
    fitted = fit(kept, [row for row in blocks if not beyond(row)], hswish)
    known = {row.build for row in kept}
    return [
        Residual(
            row=row, group="beyond", predicted=fitted.ms(row), runtime_known=row.build in known
        )
        for row in networks
        if beyond(row)
    ]


def quantile(residuals: Iterable[Residual], coverage: float) -> float:
    """Return the surprise that a new network does not exceed with probability `coverage`.

    The conformal quantile: the ceil((n + 1) * coverage)-th smallest of n, at most the largest.
    """
    values = sorted(residual.surprise for residual in residuals)
    return values[min(len(values), ceil((len(values) + 1) * coverage)) - 1]


def covered(residuals: Sequence[Residual], coverage: float) -> float:
    """Return the share of networks inside the intervals calibrated on the other groups."""
    inside = []
    for group in sorted({residual.group for residual in residuals}):
        others = [residual for residual in residuals if residual.group != group]
        for residual in (r for r in residuals if r.group == group):
            alike = [r for r in others if _bin(r) == _bin(residual)]
            inside.append(residual.surprise <= quantile(alike or others, coverage))
    return float(np.mean(inside))


def _bin(residual: Residual) -> Hashable:
    return residual.row.resolution < LARGE
