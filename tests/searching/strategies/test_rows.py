from collections.abc import Callable

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.core.plugins import Plugin, create
from nas.searching.acquisition import violation
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import Candidates, Constraint, Objective, Problem
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._variation import all_rows, mutate, neighbours
from nas.space.file import load_space
from nas.space.space import Space


def test_everything_is_every_row_once(tiny: Space) -> None:
    rows = all_rows(tiny)
    assert rows is not None
    assert len(rows) == tiny.size


def test_a_large_space_is_not_written_out() -> None:
    assert all_rows(load_space("mobilenetv3")) is None


def test_neighbours_differ_in_one_active_pick(tiny: Space) -> None:
    row = tiny.sample_matrix(np.random.default_rng(1), 1)[0]
    found = neighbours(tiny, row)
    everyone, active = all_rows(tiny), tiny.active(row[None])
    assert everyone is not None
    differ = (everyone != row) & active & tiny.active(everyone)
    near = (differ.sum(axis=1) == 1) & ~(everyone * ~active).any(axis=1)
    assert {other.tobytes() for other in found} == {other.tobytes() for other in everyone[near]}


def test_mutants_are_canonical_and_change_no_more_than_allowed() -> None:
    space, rng = load_space("mnasnet_b0"), np.random.default_rng(2)
    rows = space.sample_matrix(rng, 500)
    changes = (mutate(space, rows, 3, rng) != rows).sum(axis=1)
    assert set(changes) == {0, 1, 2, 3} or set(changes) == {1, 2, 3}


def test_a_new_layer_has_random_picks() -> None:
    space, rng = load_space("mobilenetv3"), np.random.default_rng(3)
    shallow = np.zeros((3000, len(space.columns)), dtype=np.uint8)
    mutants = mutate(space, shallow, 1, rng)
    deeper = (space.active(mutants) & ~space.active(shallow)).any(axis=1)
    grown = mutants[deeper]
    assert (grown != 0).sum(axis=1).max() > 1


def test_rows_asked_and_told_are_not_new(tiny: Space, problem: Problem) -> None:
    proposals = Proposals(problem, 0)
    rows = np.unique(tiny.sample_matrix(np.random.default_rng(0), 20), axis=0)
    proposals.ask(rows[:3])
    proposals.tell(evaluate(problem, rows[3:5]))
    assert proposals.unseen(rows).tolist() == [False] * 5 + [True] * (len(rows) - 5)
    assert np.array_equal(proposals.new(np.concatenate([rows, rows])), rows[5:])


def test_random_numbers_depend_on_tells_not_on_asks_before(tiny: Space, problem: Problem) -> None:
    rows = tiny.sample_matrix(np.random.default_rng(0), 4)
    asked, told = Proposals(problem, 5), Proposals(problem, 5)
    asked.ask(rows)
    for proposals in (asked, told):
        proposals.tell(evaluate(problem, rows))
    assert asked.rng().random() == told.rng().random()


def test_violation_is_relative_and_adds_up(with_constraints: Callable[..., Problem]) -> None:
    problem = with_constraints("macs<=100", "top1>=0.5")
    metrics = {"macs": np.array([100.0, 150.0]), "top1": np.array([0.25, np.nan])}
    assert violation(problem, metrics, 2) == pytest.approx([0.5, 0.5])


def test_a_limit_that_few_keep_is_reached() -> None:
    space = load_space("mnasnet_b0")
    made = create_costs(space)
    rows = space.sample_matrix(np.random.default_rng(1), 20_000)
    macs = made(Candidates(space=space, picks=rows))["macs"]
    problem = Problem(
        space=space,
        evaluators=(made,),
        objectives=(Objective.parse("params"),),
        limits=(Constraint(metric="macs", at_most=True, value=0.8 * macs.min()),),
    )
    found = Proposals(problem, 0).random(20, np.random.default_rng(0))
    assert len(found) == 20
    assert problem.satisfies(problem.known(found), 20).all()


def test_the_grid_is_the_same_asked_for_one_by_one(problem: Problem) -> None:
    at_once = create("strategies", Plugin.parse("grid"), problem, seed=3).ask(40)
    grid = create("strategies", Plugin.parse("grid"), problem, seed=3)
    one_by_one = np.concatenate([grid.ask(1) for _ in range(40)])
    np.testing.assert_array_equal(one_by_one, at_once)


def test_a_prefix_of_the_grid_covers_every_value_of_every_choice(problem: Problem) -> None:
    rows = create("strategies", Plugin.parse("grid"), problem, seed=0).ask(24)
    for column, width in enumerate(problem.space.widths):
        counts = np.bincount(rows[:, column], minlength=width)
        assert counts.min() >= 3


def test_evolution_keeps_the_latest_trials_only(problem: Problem) -> None:
    plugin = Plugin.parse("evolution:population=8,tournament=3")
    strategy = create("strategies", plugin, problem, seed=0)
    for _ in range(4):
        picks = strategy.ask(8)
        strategy.tell(evaluate(problem, picks))
    assert np.array_equal(strategy._rows, picks)


def test_an_unknown_optuna_sampler_is_reported_in_one_line(problem: Problem) -> None:
    plugin = Plugin.parse("optuna_sampler:sampler=optuna.samplers.Nothing")
    with pytest.raises(NasError, match="no Optuna sampler"):
        create("strategies", plugin, problem, seed=0)


def test_any_optuna_sampler_works_by_its_path(problem: Problem) -> None:
    plugin = Plugin.parse("optuna_sampler:sampler=optuna.samplers.QMCSampler")
    strategy = create("strategies", plugin, problem, seed=0)
    strategy.tell(evaluate(problem, strategy.ask(4)))
    assert len(strategy.ask(4)) == 4
