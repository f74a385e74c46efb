"""Policy gradient: learned probabilities of picks, and MnasNet's reward (Tan et al., 2019)."""

import numpy as np
from numpy.typing import NDArray

from nas.core.blas import one_blas_thread
from nas.core.errors import NasError
from nas.core.rounding import significant
from nas.searching.acquisition import violation
from nas.searching.problem import FAILED, Floats, Problem, Trials
from nas.searching.strategies._proposals import Proposals
from nas.space.space import Matrix, Space

_SPAN = 7.0
"""The exponents of the policies reach from `w` divided by it to `w` times it."""
_WINDOW = 100
"""So many of the latest trials are learned from, each several times."""
_STEPS = 3
_MIN_DEVIATION = 1e-4
"""Logarithms of rewards that differ by less are equal."""
_DIGITS = 9
_SHARPNESS = (1.0, 1.0, 0.7, 0.4)
"""Where a policy proposes what was proposed before, its logits are flattened by these factors."""


class Policies:
    """Several policies over the picks of a space, each with a categorical for every choice.

    `logits` has shape (policies, columns, values), minus infinity where a choice has fewer values.
    """

    def __init__(self, space: Space, count: int) -> None:
        """Start with uniform policies."""
        self._space = space
        self._exists = np.arange(space.widths.max()) < space.widths[:, None]
        self.logits: Floats = np.repeat(np.where(self._exists, 0.0, -np.inf)[None], count, axis=0)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.logits)

    def probabilities(self, sharpness: float = 1.0) -> Floats:
        """Return the probabilities of all values, shape (policies, columns, values)."""
        odds = np.exp(sharpness * (self.logits - self.logits.max(axis=2, keepdims=True)))
        probabilities: Floats = odds / odds.sum(axis=2, keepdims=True)
        return probabilities

    def sample(self, count: int, sharpness: float, rng: np.random.Generator) -> Matrix:
        """Return `count` canonical rows, of all policies in turn."""
        order = rng.permutation(len(self))[np.arange(count) % len(self)]
        edges = np.round(self.probabilities(sharpness).cumsum(axis=2), _DIGITS)[..., :-1]
        drawn = rng.random((count, edges.shape[1], 1))
        return self._space.canonical((drawn > edges[order]).sum(axis=2).astype(np.uint8))

    def log_likelihood(self, rows: Matrix) -> Floats:
        """Return the logarithm of the probability of each row, shape (policies, rows)."""
        logs = self._logs()[:, np.arange(rows.shape[1]), rows]
        likelihood: Floats = np.where(self._space.active(rows), logs, 0.0).sum(axis=2)
        return likelihood

    def gradient(self, rows: Matrix, weights: Floats) -> Floats:
        """Return the gradient of the log-likelihoods, weighted and added up.

        `weights` has shape (policies, rows). Inactive picks count nothing.
        """
        active = self._space.active(rows)[..., None]
        picked = (rows[..., None] == np.arange(self._exists.shape[1])) & active
        wanted = np.tensordot(weights, picked.astype(float), axes=(1, 0))
        drawn = np.tensordot(weights, active.astype(float), axes=(1, 0))
        gradient: Floats = wanted - drawn * self.probabilities()
        return gradient

    def entropy_gradient(self) -> Floats:
        """Return the gradient of the entropies of all categoricals."""
        probabilities, logs = self.probabilities(), self._logs()
        means = (probabilities * logs).sum(axis=2, keepdims=True)
        gradient: Floats = -probabilities * (logs - means)
        return gradient

    def step(self, change: Floats) -> None:
        """Add `change` to the logits."""
        self.logits = np.where(self._exists, np.round(self.logits + change, _DIGITS), -np.inf)

    def _logs(self) -> Floats:
        logs: Floats = np.log(np.where(self._exists, np.maximum(self.probabilities(), 1e-300), 1.0))
        return logs


class Reinforce:
    """Draws architectures from policies and makes what was better than expected likelier.

    The reward is accuracy * cost ** -w; with several objectives every policy has an exponent of its
    own, so that each goes to another place of the front. The accuracy is the first objective that
    costs something to evaluate. All policies learn from all trials, weighted by how much likelier
    a trial is under a policy than it was under the mixture of all (multiple importance sampling).
    The baseline is the mean reward that a policy expects.
    """

    batch = 10

    def __init__(
        self,
        problem: Problem,
        seed: int,
        *,
        exponents: Floats,
        learning_rate: float,
        entropy: float,
    ) -> None:
        """Start with uniform policies, one for each row of `exponents`, a column an objective."""
        self._problem, self._rate, self._entropy = problem, learning_rate, entropy
        self._proposals = Proposals(problem, seed)
        self._policies = Policies(problem.space, len(exponents))
        self._exponents = exponents
        self._rows: Matrix = np.zeros((0, len(problem.space.columns)), dtype=np.uint8)
        self._scores: Floats = np.zeros((0, len(problem.objectives)))
        self._violations: Floats = np.zeros(0)
        self._failed: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._mixture: Floats = np.zeros(0)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows; random ones where the policies propose nothing new."""
        rng = self._proposals.rng()
        found = self._rows[:0]
        for sharpness in _SHARPNESS:
            wanted = 2 * (count - len(found)) + len(self._policies)
            drawn = self._proposals.feasible(self._policies.sample(wanted, sharpness, rng))
            found = self._proposals.new(np.concatenate([found, drawn]))[:count]
            if len(found) == count:
                break
        return self._proposals.ask(self._proposals.fill(found, count, rng))

    @one_blas_thread()
    def tell(self, trials: Trials) -> None:
        """Learn from every `batch` trials, however many are told at once."""
        self._proposals.tell(trials)
        violations = violation(self._problem, trials.metrics, len(trials))
        self._rows = np.concatenate([self._rows, trials.picks])
        self._scores = np.concatenate([self._scores, self._problem.scores(trials.metrics)])
        self._violations = np.concatenate([self._violations, violations])
        self._failed = np.concatenate([self._failed, trials.status == FAILED])
        while len(self._rows) - len(self._mixture) >= self.batch:
            self._learn()

    def _learn(self) -> None:
        """Take the next batch into the window, and a few steps on that."""
        start, stop = len(self._mixture), len(self._mixture) + self.batch
        found = self._policies.log_likelihood(self._rows[start:stop])
        mixed = np.logaddexp.reduce(found, axis=0) - np.log(len(found))
        self._mixture = np.concatenate([self._mixture, mixed])
        window = slice(max(0, stop - _WINDOW), stop)
        rows, rewards = self._rows[window], self._rewards(window)
        for _ in range(_STEPS):
            likelier = self._policies.log_likelihood(rows) - self._mixture[window]
            shares = np.exp(np.minimum(likelier, np.log(len(found))))
            shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
            away = rewards - (shares * rewards).sum(axis=1, keepdims=True)
            deviation = np.sqrt((shares * away**2).sum(axis=1, keepdims=True))
            advantages = away / np.maximum(deviation, _MIN_DEVIATION)
            change = self._policies.gradient(rows, shares * advantages)
            change += self._entropy * self._policies.entropy_gradient()
            self._policies.step(self._rate * change)

    def _rewards(self, window: slice) -> Floats:
        """Return the logarithms of the rewards under all policies, shape (policies, rows).

        What violates constraints has the worst reward in the window, divided by 1 more than its
        relative violation; what failed, or has no numbers, has the lowest of all.
        """
        logs = _logs(self._problem, self._scores[window])
        rewards = self._exponents @ np.where(np.isfinite(logs), logs, 0.0).T
        violations, known = self._violations[window], np.isfinite(logs).all(axis=1)
        lost = self._failed[window] | (~known & (violations == 0))
        good = known & (violations == 0) & ~lost
        worst = rewards[:, good].min(axis=1, initial=np.inf, keepdims=True)
        worst = np.where(np.isfinite(worst), worst, 0.0)
        rewards = np.where(good, rewards, worst - np.log1p(violations))
        return significant(np.where(lost, rewards.min(axis=1, keepdims=True), rewards))


def _logs(problem: Problem, scores: Floats) -> Floats:
    """Return how good `scores` are in every objective, as logarithms: larger is better.

    Where an objective has values of 0 or less, they are divided by their mean distance from 0,
    which changes by as much.
    """
    columns = []
    for objective, column in zip(problem.objectives, scores.T, strict=True):
        values = objective.sign * column
        real = values[np.isfinite(values)]
        if real.size and real.min() > 0:
            columns.append(-objective.sign * np.log(values))
        else:
            scale = float(np.abs(real).mean()) if real.size else 0.0
            columns.append(-column / (scale or 1.0))
    return significant(np.stack(columns, axis=1))


def _exponents(problem: Problem, w: float, policies: int) -> Floats:
    """Return the exponents of all objectives, shape (policies, objectives).

    That of the accuracy is 1; those of every other one are spread around `w`, in an own order.
    """
    judged = (*problem.learned, "reward")
    first = next((i for i, o in enumerate(problem.objectives) if o.metric in judged), 0)
    if len(problem.objectives) == 1:
        return np.ones((1, 1))
    rng = np.random.default_rng(0)
    spread = np.geomspace(w / _SPAN, w * _SPAN, policies) if policies > 1 else np.array([w])
    return np.stack(
        [
            np.ones(policies) if i == first else rng.permutation(spread)
            for i in range(len(problem.objectives))
        ],
        axis=1,
    )


def create(
    problem: Problem,
    *,
    seed: int,
    w: float = 0.07,
    policies: int = 8,
    learning_rate: float = 1.0,
    entropy: float = 0.01,
) -> Reinforce:
    """Return the strategy for one search.

    The exponents of the `policies` lie around `w`, with one objective there is one policy. A target
    latency is the problem's: `--reward target=80`. `learning_rate` is of the logits, whose
    advantages are standardised; `entropy` keeps the policies from settling too early.

    Raises:
        NasError: if an option is out of its range.
    """
    if not (w > 0 and policies >= 1 and learning_rate > 0 and entropy >= 0):
        raise NasError(
            "strategy reinforce needs w and learning_rate above 0, entropy of 0 or more, and at "
            "least 1 of policies"
        )
    exponents = _exponents(problem, w, policies)
    return Reinforce(
        problem, seed, exponents=exponents, learning_rate=learning_rate, entropy=entropy
    )
