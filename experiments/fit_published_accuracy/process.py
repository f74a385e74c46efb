"""A Gaussian process over accuracies of several schemes, each with a scale of its own.

    logit(top1) = offset[scheme] + slope[scheme] * f(x) + discrepancy[scheme](x)
                  + recipe + distillation + family + noise

`f` and the discrepancies are linear in the features, plus a squared exponential; every group of
features has one weight and one length scale. The slope of published accuracies is 1 and they have
no discrepancy. Recipe, distillation and family are random effects on published networks: the
reference recipe has none, and recipes that distil a supernet into its networks share one. Narrow
priors on all of these keep a few networks from explaining too much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from experiments.fit_published_accuracy.rows import NONE, PUBLISHED, Table
from nas.accuracy.features import NAMES, Floats

OFFSET = 4.0
"""Variance of each scheme's offset, of which nothing is known."""

SCHEMES = 3
_JITTER = 1e-7
_BLOCK = 1_000

Priors = Mapping[str, tuple[float, float, int]]
"""The mean and standard deviation of a hyperparameter's logarithm, and the number of such
hyperparameters."""


def groups(names: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the indices of the features of every group, named by the letter before the `_`."""
    order = sorted(range(len(names)), key=lambda i: names[i].split("_")[0])
    return tuple(tuple(g) for _, g in groupby(order, key=lambda i: names[i].split("_")[0]))


GROUPS = groups(NAMES)

PRIORS: Priors = {
    "weight": (-2.9, 0.4, len(GROUPS)),
    "length": (1.8, 0.15, len(GROUPS)),
    "curved": (-1.8, 0.5, 1),
    "slope": (0.0, 0.4, SCHEMES - 1),
    "own_curved": (-2.5, 1.0, SCHEMES - 1),
    "own_weight": (-3.0, 1.0, SCHEMES - 1),
    "recipe": (float(np.log(0.045)), 0.15, 1),
    "recipe_size": (float(np.log(0.015)), 0.5, 1),
    "distilled": (float(np.log(0.07)), 0.2, 1),
    "family": (float(np.log(0.045)), 0.15, 1),
    "noise": (float(np.log(0.016)), 0.2, 1),
    "own_noise": (-4.0, 1.0, SCHEMES - 1),
}
"""Priors of the logarithms of standard deviations, length scales and slopes, in logits and in
standard deviations of the features; chosen by leaving families out."""

Values = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and deviation of every feature over the published networks."""

    mean: Floats
    deviation: Floats

    def __call__(self, features: Floats) -> Floats:
        """Return standardised features."""
        return (features - self.mean) / self.deviation


def scaling_of(features: Floats) -> Scaling:
    """Return the scaling after which `features` have mean 0 and deviation 1."""
    return Scaling(features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6))


def logit(percent: Floats) -> Floats:
    """Return the logit of accuracies in per cent."""
    return np.log(percent / (100 - percent))


def percent(logits: Floats) -> Floats:
    """Return the accuracies, in per cent, of logits."""
    return 100 / (1 + np.exp(-logits))


_OF = np.array([next(g for g, group in enumerate(GROUPS) if i in group) for i in range(len(NAMES))])
_SHARE = np.array([len(GROUPS[g]) ** -0.5 for g in _OF])
"""The group of every feature, and the factor that gives groups of all sizes the same weight."""


def _scaled(rows: Floats, by_group: Floats) -> Floats:
    scaled: Floats = rows * (by_group[_OF] * _SHARE)
    return scaled


def _by_group(by_feature: Floats) -> Floats:
    """Return the sums over the features of every group."""
    weighed = by_feature * _SHARE**2
    return np.array([weighed[list(group)].sum() for group in GROUPS])


class Covariance:
    """The covariances of two sets of rows with standardised features, noise excepted."""

    def __init__(self, one: Table, other: Table) -> None:
        """Prepare what does not depend on hyperparameters."""
        self._one, self._other = one.features, other.features
        even = np.full(len(GROUPS), len(GROUPS) ** -0.5)
        self._linear = _scaled(self._one, even) @ _scaled(self._other, even).T
        self.schemes = one.schemes, other.schemes
        self._same = one.schemes[:, None] == other.schemes
        published = np.outer(one.schemes == PUBLISHED, other.schemes == PUBLISHED)
        recipes = one.recipes[:, None] == other.recipes
        self._recipe = published & recipes & (one.recipes > 0)[:, None]
        size = NAMES.index("g_macs")
        self._sizes = self._one[:, size], self._other[:, size]
        self._distilled = published & np.outer(one.distilled, other.distilled)
        known = (one.families != NONE)[:, None]
        self._family = published & known & (one.families[:, None] == other.families)

    def _curved(self, values: Values) -> Floats:
        """Return the squared exponential."""
        rates = np.exp(-values["length"])
        a, b = _scaled(self._one, rates), _scaled(self._other, rates)
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        curved: Floats = np.exp(-0.5 * np.maximum(squares, 0))
        return curved

    def _slopes(self, values: Values) -> Floats:
        """Return the products of the slopes of both schemes."""
        slopes = np.exp(np.concatenate([[0.0], values["slope"]]))
        return np.outer(slopes[self.schemes[0]], slopes[self.schemes[1]])

    def _own(self, scheme: int) -> Floats:
        """Return where both rows are of the same scheme other than the published one."""
        return np.outer(self.schemes[0] == scheme, self.schemes[1] == scheme)

    def _shared(self, values: Values, curved: Floats) -> Floats:
        """Return the covariances of `f` times the slopes."""
        weights = np.exp(values["weight"])
        linear = _scaled(self._one, weights) @ _scaled(self._other, weights).T
        shared: Floats = linear + np.exp(2 * values["curved"][0]) * curved
        return shared * self._slopes(values)

    def __call__(self, values: Values) -> Floats:
        """Return the covariances for given hyperparameters."""
        curved, square = self._curved(values), {k: np.exp(2 * v) for k, v in values.items()}
        total: Floats = self._shared(values, curved) + OFFSET * self._same
        for j in range(SCHEMES - 1):
            own = square["own_curved"][j] * curved + square["own_weight"][j] * self._linear
            total += self._own(j + 1) * own
        recipe = square["recipe"][0] + square["recipe_size"][0] * np.outer(*self._sizes)
        total += self._recipe * recipe
        total += square["distilled"][0] * self._distilled + square["family"][0] * self._family
        return total

    def gradient(self, values: Values, weights: Floats) -> Values:
        """Return the sums of `weights` times the derivatives with respect to every hyperparameter.

        Both sets of rows must be the same, and `weights` symmetric.
        """
        curved, square = self._curved(values), {k: np.exp(2 * v) for k, v in values.items()}
        sloped = weights * self._slopes(values)
        shared = weights * self._shared(values, curved)
        owns = [weights * self._own(j + 1) for j in range(SCHEMES - 1)]
        bent = square["curved"][0] * sloped
        for variance, own in zip(square["own_curved"], owns, strict=True):
            bent += variance * own
        by_scheme = [shared[self.schemes[0] == j + 1].sum() for j in range(SCHEMES - 1)]
        return {
            "weight": 2 * square["weight"] * _by_group(self._dots(sloped)),
            "length": _by_group(self._squares(bent * curved)) / square["length"],
            "curved": 2 * square["curved"] * np.vdot(sloped, curved),
            "slope": 2 * np.array(by_scheme),
            "own_curved": 2 * square["own_curved"] * [np.vdot(own, curved) for own in owns],
            "own_weight": 2 * square["own_weight"] * [np.vdot(own, self._linear) for own in owns],
            "recipe": 2 * square["recipe"] * np.vdot(weights, self._recipe),
            "recipe_size": 2
            * square["recipe_size"]
            * np.vdot(weights * self._recipe, np.outer(*self._sizes)),
            "distilled": 2 * square["distilled"] * np.vdot(weights, self._distilled),
            "family": 2 * square["family"] * np.vdot(weights, self._family),
        }

    def _dots(self, weights: Floats) -> Floats:
        """Return, for every feature, the sum over pairs of `weights` times both values."""
        sums: Floats = (self._one * (weights @ self._one)).sum(axis=0)
        return sums

    def _squares(self, weights: Floats) -> Floats:
        """Return, for every feature, the sum over pairs of `weights` times the squared distance."""
        sums: Floats = 2 * (weights.sum(axis=1) @ self._one**2) - 2 * self._dots(weights)
        return sums


def _noise(values: Values, schemes: NDArray[np.intp]) -> Floats:
    """Return the variance of the noise of every row."""
    by_scheme = np.exp(2 * np.concatenate([values["noise"], values["own_noise"]]))
    variances: Floats = by_scheme[schemes] + _JITTER
    return variances


def tune(table: Table, *, steps: int = 40, start: Values | None = None) -> Values:
    """Return the hyperparameters of the largest posterior density, by L-BFGS.

    `table` has standardised features.
    """
    between, targets = Covariance(table, table), logit(table.top1)

    def misfit(flat: Floats) -> tuple[float, Floats]:
        values = _named(flat)
        covariance = between(values)
        covariance[np.diag_indices_from(covariance)] += _noise(values, table.schemes)
        factor = cho_factor(covariance, lower=True)
        solved = cho_solve(factor, targets)
        inverse = cho_solve(factor, np.eye(len(targets)))
        weights = 0.5 * (inverse - np.outer(solved, solved))
        gradient = {**between.gradient(values, weights)}
        noise = 2 * _noise(values, table.schemes) * np.diag(weights)
        sums = np.array([noise[table.schemes == j].sum() for j in range(SCHEMES)])
        gradient |= {"noise": sums[:1], "own_noise": sums[1:]}
        value = 0.5 * targets @ solved + np.log(np.diag(factor[0])).sum()
        for name, (centre, width, _) in PRIORS.items():
            apart = (values[name] - centre) / width
            value += 0.5 * float(apart @ apart)
            gradient[name] = gradient[name] + apart / width
        return float(value), np.concatenate([gradient[name] for name in PRIORS])

    first = {name: np.full(n, centre) for name, (centre, _, n) in PRIORS.items()}
    begin = np.concatenate([(start or first)[name] for name in PRIORS])
    found = minimize(misfit, begin, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return _named(found.x)


def _named(flat: Floats) -> Values:
    ends = np.cumsum([n for _, _, n in PRIORS.values()])[:-1]
    return dict(zip(PRIORS, np.split(flat, ends), strict=True))


@dataclass(frozen=True, slots=True)
class Prediction:
    """Logits and standard deviations, of which `family` is that of the family's effect."""

    mean: Floats
    deviation: Floats
    family: float

    @property
    def total(self) -> Floats:
        """The deviation for a network of an unknown family."""
        return np.hypot(self.deviation, self.family)


class Process:
    """The process, conditioned on rows."""

    def __init__(self, table: Table, values: Values) -> None:
        """Condition it on `table`, with standardised features."""
        self._table, self.values = table, values
        covariance = Covariance(table, table)(values)
        covariance[np.diag_indices_from(covariance)] += _noise(values, table.schemes)
        self._factor = cho_factor(covariance, lower=True)
        self._solved = cho_solve(self._factor, logit(table.top1))

    def __call__(self, rows: Table, *, deviations: bool = True) -> Prediction:
        """Return the expected logits of `rows`, without noise."""
        means, spreads = [], []
        for start in range(0, len(rows), _BLOCK):
            part = rows.take(np.arange(start, min(start + _BLOCK, len(rows))))
            across = Covariance(part, self._table)(self.values)
            means.append(across @ self._solved)
            if deviations:
                solved = solve_triangular(self._factor[0], across.T, lower=True)
                left = self._prior(part) - (solved**2).sum(axis=0)
                spreads.append(np.sqrt(np.maximum(left, 1e-8)))
        spread = np.concatenate(spreads) if spreads else np.zeros(len(rows))
        return Prediction(np.concatenate(means), spread, float(np.exp(self.values["family"][0])))

    def _prior(self, rows: Table) -> Floats:
        """Return the prior variances of rows, with that of the family where it is known."""
        square = {k: np.exp(2 * v) for k, v in self.values.items()}
        dots = np.stack(
            [(rows.features[:, g] ** 2).mean(axis=1) for g in map(list, GROUPS)], axis=1
        )
        slopes = np.concatenate([[1.0], square["slope"]])[rows.schemes]
        shared = dots @ square["weight"]
        total: Floats = slopes * (shared + square["curved"][0]) + OFFSET
        for j in range(SCHEMES - 1):
            own = square["own_curved"][j] + square["own_weight"][j] * dots.mean(axis=1)
            total = total + (rows.schemes == j + 1) * own
        published = rows.schemes == PUBLISHED
        size = rows.features[:, NAMES.index("g_macs")]
        recipe = square["recipe"][0] + square["recipe_size"][0] * size**2
        total = total + published * (rows.recipes != 0) * recipe
        total = total + published * rows.distilled * square["distilled"][0]
        total = total + published * (rows.families != NONE) * square["family"][0]
        return total
