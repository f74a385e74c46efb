"""Our strategies in experiments of Ray Tune, and our problems as their trainables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ray = pytest.importorskip("ray")
tune = pytest.importorskip("ray.tune")

from nas.core.errors import NasError  # noqa: E402  # skipped above where there is no Ray
from nas.integrations.problems import make_problem  # noqa: E402
from nas.integrations.tune import (  # noqa: E402
    Searcher,
    param_space,
    reported,
    trainable,
    values_of,
)
from nas.space.space import Space  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


SPACE: dict[str, Any] = {
    "kind": tune.choice(["a", None]),
    "count": tune.randint(1, 6),
    "inner": {"rate": tune.loguniform(1e-4, 1), "step": tune.quniform(0, 1, 0.25), "fixed": 7},
    "name": "constant",
}


def loss(config: dict[str, Any]) -> float:
    return float(config["count"] + config["inner"]["rate"] + 3 * (config["kind"] is None))


def told(searcher: Searcher, count: int) -> list[dict[str, Any]]:
    """Let a searcher suggest `count` configurations, and report their results."""
    found = []
    for number in range(count):
        found.append(searcher.suggest(str(number)))
        searcher.on_trial_complete(str(number), {"loss": loss(found[-1])})
    return found


def ready(seed: int = 0, strategy: str = "evolution") -> Searcher:
    searcher = Searcher(strategy, seed=seed)
    assert searcher.set_search_properties("loss", "min", SPACE)
    return searcher


def test_configurations_are_whole_and_in_their_domains() -> None:
    for config in told(ready(), 20):
        assert config["name"] == "constant"
        assert config["inner"]["fixed"] == 7
        assert config["kind"] in ("a", None)
        assert config["count"] in range(1, 6)
        assert 1e-4 <= config["inner"]["rate"] <= 1.0001
        assert config["inner"]["step"] in (0, 0.25, 0.5, 0.75, 1)


def test_equal_seeds_give_equal_configurations() -> None:
    assert told(ready(), 15) == told(ready(), 15)
    assert told(ready(), 15) != told(ready(1), 15)


def test_a_saved_searcher_remembers(tmp_path: Path) -> None:
    first, path = ready(strategy="local"), str(tmp_path / "searcher.json")
    told(first, 12)
    first.save(path)
    second = ready(strategy="local")
    second.restore(path)
    second.suggest("next")
    assert second._ask_tell is not None
    assert second._ask_tell.told == 12


def test_an_end_and_failures_are_reported() -> None:
    searcher = Searcher("grid", metric="loss", mode="min")
    searcher.set_search_properties(None, None, {"x": tune.choice([1, 2])})
    for number in range(2):
        assert searcher.suggest(str(number))["x"] in (1, 2)
        searcher.on_trial_complete(str(number), None, error=True)
    assert searcher.suggest("2") == "FINISHED"
    searcher.on_trial_complete("never asked", {"loss": 1.0})


def test_what_it_cannot_choose_from_is_refused() -> None:
    searcher = Searcher(metric="loss", mode="min")
    searcher.set_search_properties(None, None, {"x": tune.grid_search([1, 2])})
    with pytest.raises(NasError, match="leave grid_search out"):
        searcher.suggest("0")
    searcher.set_search_properties(None, None, {"x": tune.randn(0, 1)})
    with pytest.raises(NasError, match="give it a lower and an upper bound"):
        searcher.suggest("0")
    searcher = Searcher()
    searcher.set_search_properties(None, None, {"x": tune.choice([1, 2])})
    with pytest.raises(NasError, match="a metric and a mode"):
        searcher.suggest("0")


def test_whole_numbers_stay_whole() -> None:
    assert values_of(tune.randint(2, 5)) == (2, 3, 4)
    assert values_of(tune.qrandint(2, 10, 4)) == (2, 6, 10)
    assert values_of(tune.uniform(0, 1))[0] == 0
    assert len(values_of(tune.lograndint(1, 10_000))) <= 64


def test_what_a_limit_leaves_out_is_reported_as_the_worst(fake: Any, tiny: Space) -> None:
    problem = make_problem(
        space=tiny, evaluator=fake, objective=["max:top1", "min:macs"], limit="params<=1",
        allow_extrapolation=True,
    )  # fmt: skip
    config = {name: values[0] for name, values in tiny.choices.items()}
    found = reported(problem, config)
    assert found["top1"] == -np.inf
    assert found["violated"] == found["params"] - 1
    assert set(problem.provides) <= found.keys()
    assert fake.calls == []


@pytest.mark.cluster
def test_asha_stops_trials_of_our_strategy(cluster: None, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(1, 5):
            tune.report({"score": -((config["x"] - 0.3) ** 2) * 2**-step, "step": step})

    searcher = Searcher("evolution")
    found = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=6,
            max_concurrent_trials=2,
            search_alg=searcher,
            scheduler=tune.schedulers.ASHAScheduler(
                time_attr="step", max_t=4, grace_period=1, reduction_factor=2
            ),
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert len(found) == 6
    assert not found.errors
    assert {result.metrics["step"] for result in found} > {4}
    assert searcher._ask_tell is not None
    assert searcher._ask_tell.told == 6


@pytest.mark.cluster
def test_a_problem_of_ours_is_a_trainable(cluster: None, tmp_path: Path, tiny: Space) -> None:
    problem = make_problem(
        space=tiny, evaluator="costs", objective="min:params", limit="macs<=300k",
        allow_extrapolation=True,
    )  # fmt: skip
    found = tune.Tuner(
        trainable(problem),
        param_space=param_space(tiny),
        tune_config=tune.TuneConfig(
            metric="params", mode="min", num_samples=3, search_alg=Searcher(space=tiny)
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert not found.errors
    for result in found:
        row = tiny.pack({k: v for k, v in result.config.items() if k in tiny.choices})
        assert result.metrics["params"] == problem.known(row[None])["params"][0]
        assert result.metrics["violated"] == pytest.approx(
            max(0.0, result.metrics["macs"] / 300e3 - 1)
        )
    assert np.isfinite(found.get_best_result().metrics["params"])
