"""The comparison of strategies on trained networks, on a problem of its own."""

from pathlib import Path

import numpy as np
import pytest

from experiments.shared import searches
from experiments.shared.folders import SHARED_DATA
from experiments.strategies import macro
from experiments.strategies.macro import Trained
from nas.searching.pareto import hypervolume, non_dominated

FOLDER = SHARED_DATA / "nas_bench_macro"


@pytest.fixture(scope="module")
def trained() -> Trained:
    if not (FOLDER / macro.FILE).is_file():
        pytest.skip("needs nas_bench_macro")
    return macro.load(Path(FOLDER))


def test_every_row_of_the_space_was_trained_once(trained: Trained) -> None:
    assert trained.space.size == len(trained.rows) == len(np.unique(trained.rows, axis=0)) == 6561
    assert np.array_equal(trained.rows, trained.space.canonical(trained.rows))
    assert trained.top1.shape == (6561, 3)


def test_the_largest_network_costs_most(trained: Trained) -> None:
    place = trained.places(np.full((1, 8), 2, dtype=np.uint8))[0]
    assert trained.costs["macs"].argmax() == trained.costs["params"].argmax() == place
    assert trained.costs["params"][place] == 2_932_586


@pytest.mark.parametrize("name", ["guided", "reinforce"])
def test_strategies_that_learn_beat_random_search_on_trainings(trained: Trained, name: str) -> None:
    problem = macro.problem_of(trained, "macs", 0)
    volumes = []
    for strategy in (name, "random"):
        trials = searches.run(problem, searches.strategy(problem, strategy, 0), 150)
        found = trained.scores(trials.picks, "macs")
        front = found[non_dominated(problem.scores(trials.metrics))]
        volumes.append(hypervolume(front, np.array([-0.86, 1.1e8])))
    assert volumes[0] > volumes[1]
