"""Pareto-archive evolution with screened children; the default where an evaluation is a look-up."""

from nas.searching.problem import Problem, Trials
from nas.searching.strategies._approach import Approach
from nas.searching.strategies._linear_model import LinearModel
from nas.searching.strategies._offspring import OffspringSampler
from nas.searching.strategies._pareto_archive import ParetoArchive
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._settings import check_counts
from nas.space.space import Matrix

_SLACK = 0.002
_MUTATIONS = 4
_MAX_PAIRS = 200
"""More pairs of picks cost more time than they save evaluations."""
_PENALTY = 0.1
_FORGET = 0.9
"""Old batches count less, as the model should be accurate near the front."""
_LEAST, _SHARE = 50, 5
"""A batch is at most a fifth of the trials told so far: early models change quickly."""


class Archive:
    """Keeps the front and what is close behind it, and breeds from that.

    Of several children of near parents only the one is proposed that a linear model of picks and of
    features of networks, refitted to every batch, predicts to be furthest ahead of the front. With
    one objective the archive is the elite.
    """

    def __init__(
        self, problem: Problem, seed: int, *, initial: int, siblings: int, batch: int
    ) -> None:
        """Start with an empty archive."""
        self.batch = batch
        self._initial = initial
        self._proposals = Proposals(problem, seed)
        self._archive = ParetoArchive(problem, slack=_SLACK)
        self._model = LinearModel(problem, most_pairs=_MAX_PAIRS, penalty=_PENALTY, forget=_FORGET)
        self._offspring = OffspringSampler(problem, siblings=siblings, mutations=_MUTATIONS)
        self._approach = Approach(problem, siblings=siblings, mutations=_MUTATIONS)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows: random ones first, then children of the archive.

        There are fewer while there are few trials to learn from.
        """
        proposals, rng, told = self._proposals, self._proposals.rng(), self._proposals.count
        if told < self._initial:
            return proposals.ask(proposals.random(min(count, self._initial), rng))
        count = min(count, max(_LEAST, told // _SHARE))
        if not len(self._archive):
            found = self._approach(self._model, count=count, proposals=proposals, rng=rng)
            return proposals.ask(found)
        found = self._offspring(
            self._archive, self._model, count=count, proposals=proposals, rng=rng
        )
        return proposals.ask(proposals.fill(found, count, rng))

    def tell(self, trials: Trials) -> None:
        """Let the best into the archive and refit the model."""
        self._proposals.tell(trials)
        self._model.tell(trials)
        self._archive.tell(trials)
        self._approach.tell(trials)


def create(
    problem: Problem, *, seed: int, initial: int = 50, siblings: int = 8, batch: int = 400
) -> Archive:
    """Return the strategy for one search.

    `initial` architectures are random; of `siblings` children one is proposed.

    Raises:
        NasError: if one of these is below 1.
    """
    check_counts("archive", initial=initial, siblings=siblings, batch=batch)
    return Archive(problem, seed, initial=initial, siblings=siblings, batch=batch)
