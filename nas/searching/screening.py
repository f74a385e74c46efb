"""Screening: evaluate only the most promising of many candidates that a strategy proposes."""

import numpy as np

from nas.searching.acquisition import improvement, select_batch
from nas.searching.kernel_model import KernelModel
from nas.searching.pareto import non_dominated
from nas.searching.problem import Floats, Problem, Strategy, Trials
from nas.space.space import Matrix

INITIAL = 15
"""Trials with a number for every objective that come before the first model."""

EXPLORE = 0.1
"""The share of candidates chosen at random, so that the model also learns elsewhere."""

_BATCH = 10
"""Most candidates per batch, since the model is refitted after each."""
_MAX_FITTED = 1000
_MAX_WAITING = 2000


class Screened:
    """Asks `strategy` for `times` as many candidates, and proposes the most promising.

    A model of all trials so far, refitted after every tell, predicts how far a candidate is ahead
    of the front and of the others of the batch, less its violations of constraints. Those not
    chosen wait, and are considered again in the next ask, under the next model, so that an early,
    bad model loses nothing. The strategy is told every trial; candidates that wait seem to it to be
    still in evaluation.
    """

    def __init__(self, strategy: Strategy, problem: Problem, *, times: int, seed: int) -> None:
        """Wrap `strategy`, which searches `problem`."""
        self._strategy, self._problem, self._times = strategy, problem, times
        self._model = KernelModel(problem, most=_MAX_FITTED)
        self._waiting: Matrix = np.zeros((0, len(problem.space.columns)), dtype=np.uint8)
        self._front: Floats = np.zeros((0, len(problem.objectives)))
        self._seen: set[bytes] = set()
        self._seed, self._asks, self._learned = seed, 0, 0

    @property
    def batch(self) -> int:
        """The strategy's preferred number, but few enough for the model to keep up."""
        return min(_BATCH, self._strategy.batch)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` rows; the first ones as the strategy proposes them."""
        self._asks += 1
        if self._learned < INITIAL or not self._model.ready:
            rows = self._strategy.ask(count)
        else:
            rows = self._choose(self._strategy.ask(count * self._times), count)
        self._seen.update(row.tobytes() for row in rows)
        return rows

    def tell(self, trials: Trials) -> None:
        """Pass the trials on, and learn from them."""
        self._strategy.tell(trials)
        self._model.tell(trials)
        self._seen.update(row.tobytes() for row in trials.picks)
        scores = self._problem.scores(trials.metrics)
        self._learned += int(np.isfinite(scores).all(axis=1).sum())
        front = np.concatenate([self._front, scores[trials.ok]])
        self._front = front[non_dominated(front)]

    def _choose(self, proposed: Matrix, count: int) -> Matrix:
        """Return `count` of what waits and of what is `proposed`, and let the rest wait."""
        rows = self._new(np.concatenate([self._waiting, proposed]))
        if not len(rows):  # a strategy that repeats itself has seen everything
            return proposed[:count]
        rng = np.random.default_rng((self._seed % 2**32, self._asks))
        scores, violations = self._model.scores(rows)
        count = min(count, len(rows))
        explored = rng.binomial(count, EXPLORE)
        best = select_batch(scores, violations, self._front, count=count - explored)
        rest = rng.permutation(np.delete(np.arange(len(rows)), best))
        left = rest[explored:]
        worth = improvement(scores[left], self._front) - violations[left]
        self._waiting = rows[left[np.argsort(-worth, kind="stable")[:_MAX_WAITING]]]
        chosen: Matrix = rows[np.concatenate([best, rest[:explored]])]
        return chosen

    def _new(self, rows: Matrix) -> Matrix:
        """Return the rows that were not proposed yet, each once, in order."""
        once = {row.tobytes(): i for i, row in reversed(list(enumerate(rows)))}
        return rows[sorted(i for key, i in once.items() if key not in self._seen)]
