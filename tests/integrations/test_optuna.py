"""Our strategies in studies of Optuna, and our problems as their objectives."""

import optuna  # noqa: TID253  # a file about it
import pytest

from nas.core.errors import NasError
from nas.integrations.optuna import Sampler, directions, distributions, objective, values_of
from nas.integrations.problems import make_problem
from nas.searching.problem import Problem
from nas.space.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)


def mixed(trial: optuna.Trial) -> float:
    """Return the loss of parameters of every kind, one of them conditional."""
    x = trial.suggest_float("x", -1.0, 1.0)
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    count = trial.suggest_int("count", 1, 2000, log=True)
    kind = trial.suggest_categorical("kind", ["a", None, True])
    fixed = trial.suggest_int("fixed", 3, 3)
    deep = trial.suggest_int("deep", 0, 8, step=2) if kind == "a" else 0
    return x**2 + rate + count / 2000 + (kind != "a") + deep / 10 + fixed


@pytest.mark.parametrize("strategy", ["guided", "evolution", "archive", "tpe"])
def test_anybody_s_study_takes_a_strategy(strategy: str) -> None:
    def run(seed: int) -> list[float | None]:
        study = optuna.create_study(sampler=Sampler(strategy, seed=seed))
        study.optimize(mixed, n_trials=25)
        return [trial.value for trial in study.trials]

    first = run(0)
    assert first == run(0)
    assert first != run(1)


def test_a_strategy_finds_more_than_chance() -> None:
    def best(sampler: optuna.samplers.BaseSampler) -> float:
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.optimize(
            lambda trial: sum(trial.suggest_int(f"x{i}", 0, 7) for i in range(8)), n_trials=80
        )
        return study.best_value

    assert best(Sampler("evolution")) > best(optuna.samplers.RandomSampler(0))


def test_several_objectives_and_trials_of_others_count() -> None:
    space = {n: optuna.distributions.IntDistribution(0, 9) for n in "xy"}
    sampler = Sampler("archive", space=space)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.enqueue_trial({"x": 4, "y": 5})
    study.add_trial(
        optuna.create_trial(params={"x": 1, "y": 9}, distributions=space, values=[1.0, 9.0])  # type: ignore[arg-type]
    )
    study.optimize(
        lambda t: (float(t.suggest_int("x", 0, 9)), float(t.suggest_int("y", 0, 9))), n_trials=30
    )
    assert sampler._ask_tell is not None
    assert sampler._ask_tell.told == len(study.trials) - 1  # the last one is not told yet


def test_failed_and_pruned_trials_are_survived() -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_int("x", 0, 20)
        trial.report(x, 1)
        if x % 3 == 0:
            raise optuna.TrialPruned
        if x % 3 == 1:
            raise RuntimeError
        return float(x)

    study = optuna.create_study(sampler=Sampler("evolution"))
    study.optimize(objective, n_trials=20, catch=(RuntimeError,))
    assert len(study.trials) == 20


def test_threads_may_ask_at_once() -> None:
    study = optuna.create_study(sampler=Sampler("evolution"))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20, n_jobs=4)
    assert len(study.trials) == 20


def test_an_end_of_a_strategy_is_followed_by_chance() -> None:
    study = optuna.create_study(
        sampler=Sampler("grid", space={"x": optuna.distributions.IntDistribution(0, 2)})
    )
    study.optimize(lambda trial: trial.suggest_int("x", 0, 2), n_trials=5)
    assert {trial.params["x"] for trial in study.trials[:3]} == {0, 1, 2}
    assert len(study.trials) == 5


def test_values_stay_within_their_distribution() -> None:
    for distribution in (
        optuna.distributions.FloatDistribution(0.1, 0.7, step=0.2),
        optuna.distributions.FloatDistribution(1e-5, 3.0, log=True),
        optuna.distributions.IntDistribution(-7, 5000),
        optuna.distributions.IntDistribution(1, 100, log=True),
        optuna.distributions.IntDistribution(0, 98, step=7),
    ):
        for value in values_of(distribution):
            assert distribution._contains(distribution.to_internal_repr(value))


@pytest.fixture(scope="module")
def problem() -> Problem:
    return make_problem(space="mbconv_64", evaluator="costs", objective=["max:macs", "min:params"],
                        limit="params<=2M", latency_table="pixel1")  # fmt: skip


def test_a_problem_of_ours_is_an_objective(problem: Problem) -> None:
    study = optuna.create_study(
        directions=directions(problem), sampler=Sampler("archive", space=problem.space)
    )
    study.optimize(objective(problem), n_trials=15)
    assert directions(problem) == ["maximize", "minimize"]
    for trial in study.trials:
        assert trial.values == [trial.user_attrs["macs"], trial.user_attrs["params"]]
        assert trial.constraints["params<=2000000"] == trial.values[1] - 2e6
    assert all(trial.values[1] <= 2e6 for trial in study.best_trials)


def test_a_trial_without_an_evaluation_is_pruned(tiny: Space) -> None:
    class Never:
        provides, seconds, note = ("top1",), 1.0, ""

        def __call__(self, candidates: object) -> dict[str, object]:
            raise AssertionError

        def deviation(self, candidates: object) -> dict[str, object]:
            return {}

    problem = make_problem(
        space=tiny,
        evaluator=Never(),
        objective="top1",
        limit="params<=1",  # type: ignore[arg-type]
    )
    study = optuna.create_study(direction="maximize", sampler=Sampler(space=tiny))
    study.optimize(objective(problem), n_trials=3)
    assert {trial.state.name for trial in study.trials} == {"PRUNED"}
    any_trial = optuna.create_study(direction="maximize").ask(distributions(tiny))
    failing = objective(make_problem(space=tiny, evaluator=Never(), objective="top1"))  # type: ignore[arg-type]
    with pytest.raises(NasError, match="AssertionError"):
        failing(any_trial)
