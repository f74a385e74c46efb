"""Model-guided search; the default where an evaluation is a training."""

import numpy as np

from nas.core.errors import NasError
from nas.searching.acquisition import select_batch
from nas.searching.kernel_model import KernelModel
from nas.searching.problem import Problem, Trials
from nas.searching.strategies._approach import Approach
from nas.searching.strategies._offspring import OffspringSampler
from nas.searching.strategies._pareto_archive import ParetoArchive
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._settings import check_counts
from nas.space.space import Matrix

_SLACK, _INNER_SLACK = 0.05, 0.005
_MIN_KEPT = 100
_GENERATIONS, _CHILDREN = 6, 300
_MUTATIONS, _SIBLINGS = 3, 8
_MAX_FITTED = 1000
_SUPPLY = 2000
_LEAST, _SHARE = 2, 20
"""A batch is at most a twentieth of the trials told so far: early models change quickly."""


class Guided:
    """Fits a model to all trials, evolves an archive inside it, proposes the most promising.

    The first trials are random and spread over the objectives that cost nothing. Then every batch
    takes the candidates that are predicted to be furthest ahead of the front and of each other,
    and a share `explore` at random from the rest of the inner archive.
    """

    def __init__(
        self, problem: Problem, seed: int, *, initial: int, batch: int, explore: float
    ) -> None:
        """Start without trials."""
        self.batch = batch
        self._problem, self._initial, self._explore = problem, initial, explore
        self._proposals = Proposals(problem, seed)
        self._archive = ParetoArchive(problem, slack=_SLACK, least=_MIN_KEPT)
        self._model = KernelModel(problem, most=_MAX_FITTED)
        self._offspring = OffspringSampler(problem, siblings=1, mutations=_MUTATIONS)
        self._approach = Approach(problem, siblings=_SIBLINGS, mutations=_MUTATIONS)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows; fewer while there are few trials to learn from."""
        rng = self._proposals.rng()
        missing = self._initial - self._proposals.count
        if missing > 0:
            return self._proposals.ask(self._start(min(count, missing), rng))
        if not self._model.ready:
            return self._proposals.ask(self._proposals.random(count, rng))
        count = min(count, max(_LEAST, self._proposals.count // _SHARE))
        if not len(self._archive):
            near = self._approach(self._model, count=count, proposals=self._proposals, rng=rng)
            return self._proposals.ask(near)
        found = self._candidates(rng)
        explored = rng.binomial(count, self._explore)
        scores = self._model.scores(found)
        best = select_batch(*scores, self._archive.rivals, count=count - explored)
        rest = rng.permutation(np.delete(np.arange(len(found)), best))
        rows = found[np.concatenate([best, rest[: count - len(best)]])]
        return self._proposals.ask(self._proposals.fill(rows, count, rng))

    def tell(self, trials: Trials) -> None:
        """Take the trials into the model's data."""
        self._proposals.tell(trials)
        self._model.tell(trials)
        self._archive.tell(trials)
        self._approach.tell(trials)

    def _start(self, count: int, rng: np.random.Generator) -> Matrix:
        """Return random rows, spread over the first objective that is free if there is one."""
        known = self._problem.known(self._archive.rows[:0])
        free = [o.metric for o in self._problem.objectives if o.metric in known]
        rows = self._proposals.random(_SUPPLY if free else count, rng)
        if not free or len(rows) <= count:
            return rows[:count]
        values = self._problem.known(rows)[free[0]]
        places = np.linspace(values.min(), values.max(), count)
        chosen: list[int] = []
        for place in places:
            away = np.abs(values - place)
            away[chosen] = np.inf
            chosen.append(int(away.argmin()))
        return rows[chosen]

    def _candidates(self, rng: np.random.Generator) -> Matrix:
        """Return new rows near the front of the model, by an archive evolution inside it."""
        archive = ParetoArchive(self._problem, slack=_INNER_SLACK, least=_MIN_KEPT)
        archive.add(self._archive.rows, self._archive.scores)
        for _ in range(_GENERATIONS):
            children = self._offspring(
                archive, self._model, count=_CHILDREN, proposals=self._proposals, rng=rng
            )
            if not len(children):
                break
            scores, violations = self._model.scores(children)
            archive.add(children[violations == 0], scores[violations == 0])
        return self._proposals.new(archive.rows)


def create(
    problem: Problem, *, seed: int, initial: int = 15, batch: int = 20, explore: float = 0.05
) -> Guided:
    """Return the strategy for one search.

    `initial` trials come before the first model; `explore` is the share of a batch that is chosen
    at random near the front of the model.

    Raises:
        NasError: if `initial` or `batch` is below 1, or `explore` not from 0 to 1.
    """
    check_counts("guided", initial=initial, batch=batch)
    if not 0 <= explore <= 1:
        raise NasError(f"strategy guided: explore must be from 0 to 1, not {explore:g}")
    return Guided(problem, seed, initial=initial, batch=batch, explore=explore)
