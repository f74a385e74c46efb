"""The linear model that screens children: what it learns from."""

from dataclasses import replace

import numpy as np
import pytest

from nas.accuracy.features import NAMES
from nas.accuracy.picks import PicksFeatures
from nas.core.errors import NasError
from nas.searching import row_features
from nas.searching.evaluators.costs import create
from nas.searching.problem import OK, STATUS_TYPE, Problem, Trials
from nas.searching.strategies._linear_model import LinearModel
from nas.space.file import load_space
from nas.space.space import Space


def _mean_error(problem: Problem) -> float:
    """Return the error on new rows of a number that depends on the depth of whole networks."""
    depth = PicksFeatures(problem.space)
    rows = problem.space.sample_matrix(np.random.default_rng(0), 900)
    wanted = depth(rows)[:, NAMES.index("g_depth")] ** 2
    model = LinearModel(problem, most_pairs=0, penalty=0.1)
    status = np.full(600, OK, dtype=STATUS_TYPE)
    told = {"top1": wanted[:600]}
    model.tell(Trials(first=0, picks=rows[:600], metrics=told, status=status))
    return float(np.abs(model.predict(rows[600:])["top1"] - wanted[600:]).mean())


def test_features_of_networks_and_their_squares_tell_more_than_picks(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_space("mbconv_64")
    problem = replace(problem, space=space, evaluators=(create(space), problem.evaluators[-1]))
    found = _mean_error(problem)
    with monkeypatch.context() as patched:
        patched.setattr(row_features, "PicksFeatures", _unknown)
        assert found < 0.2 * _mean_error(problem)


def _unknown(space: Space) -> PicksFeatures:
    raise NasError(f"the blocks of {space.name} have no features")
