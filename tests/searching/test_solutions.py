"""Solutions: everything that is reported of an architecture agrees with its parts."""

from dataclasses import asdict

import pytest
from small_search import search, small

from nas.core import data
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig
from nas.searching.evaluators.published import Published
from nas.searching.setup import Setup, prepare
from nas.searching.solutions import known_solution, known_solutions, record

NAMES = (
    "name", "top1_proxy", "top1_proxy_deviation", "top1_proxy_outside", "gain", "gain_deviation",
    "latency_ms", "latency_low_ms", "latency_high_ms", "macs", "params", "activations",
    "trial", "fingerprint", "picks",
)  # fmt: skip


@pytest.fixture(scope="module")
def setup() -> Setup:
    return prepare(small())


def test_a_reference_in_the_space_is_judged_like_the_found(setup: Setup) -> None:
    b0 = known_solution(setup, "efficientnet_b0")
    assert b0.picks == setup.space.encode(load_architecture("efficientnet_b0"))
    assert b0.accuracy is not None
    assert b0.deviation is not None
    assert 0.63 < b0.accuracy < 0.68
    assert b0.published == pytest.approx(0.771, abs=0.005)
    assert b0.latency == setup.table.predict(b0.arch)
    assert (b0.macs, b0.params) == (cost(b0.arch).macs, 5_288_548)
    assert b0.metrics == pytest.approx(
        {"latency_ms": b0.latency.ms, "top1_proxy": b0.accuracy, **asdict(cost(b0.arch))}
    )


def test_a_reference_outside_of_the_space_has_no_accuracy(setup: Setup) -> None:
    v3 = known_solution(setup, "mobilenet_v3_large")
    assert (v3.accuracy, v3.picks, v3.deviation) == (None, None, None)
    assert v3.published == pytest.approx(0.752, abs=0.001)
    assert v3.gain(known_solution(setup, "efficientnet_b0")) is None
    assert v3.metrics == {"latency_ms": v3.latency.ms, **asdict(cost(v3.arch))}


def test_all_bundled_architectures_are_known(setup: Setup) -> None:
    assert [known.name for known in known_solutions(setup)] == list(data.bundled("architectures"))


def test_records_have_the_fixed_names(setup: Setup) -> None:
    b0 = known_solution(setup, "efficientnet_b0")
    found = record(b0, "top1_proxy", b0)
    assert tuple(found) == NAMES
    assert found["gain"] == 0.0
    assert found["activations"] == cost(b0.arch).activations


def test_with_one_objective_the_best_comes_first() -> None:
    run = search(trials=300, strategy="random", reward="target=80")
    rewards = [solution.metrics["reward"] for solution in run.solutions]
    assert rewards == sorted(rewards, reverse=True)
    assert run.best is run.solutions[0]
    assert run.best.accuracy < max(solution.accuracy or 0.0 for solution in run.solutions)
    found = run.records()
    assert [row["reward"] for row in found] == rewards
    assert [row["best"] for row in found] == [True] + [False] * (len(found) - 1)
    small = search(trials=300, strategy="random", objective="macs")
    macs = [solution.macs for solution in small.solutions]
    assert macs == sorted(macs)
    assert macs[0] == small.trials.metrics["macs"].min()


def test_solutions_are_the_trials_they_say() -> None:
    run = search(trials=300, strategy="random", limit="latency_ms<=120")
    assert [m.name for m in run.solutions] == [f"{i:03d}" for i in range(1, len(run.solutions) + 1)]
    ms = [solution.latency.ms for solution in run.solutions]
    assert ms == sorted(ms)
    for solution in run.solutions:
        assert solution.trial is not None
        assert solution.picks == run.setup.space.unpack(run.trials.picks[solution.trial])
        metrics = {name: values[solution.trial] for name, values in run.trials.metrics.items()}
        assert solution.metrics == metrics
        assert solution.accuracy == metrics["top1_proxy"]
        assert solution.latency.ms == pytest.approx(metrics["latency_ms"])
        assert solution.latency.low_ms < solution.latency.ms < solution.latency.high_ms
        assert (solution.macs, solution.params) == (metrics["macs"], metrics["params"])
        assert solution.arch == run.setup.space.decode(solution.picks)
        assert solution.arch.name == solution.name


def test_there_is_no_second_opinion_beyond_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SearchConfig(space="mbconv_64", trials=60, seed_arch=(), allow_extrapolation=True)
    assert all(s.judged is not None for s in search(given).solutions)
    monkeypatch.setattr(Published, "beyond", lambda _, candidates: ["size"] * len(candidates))
    found = search(given).solutions
    assert [(s.outside, s.judged) for s in found] == [("size", None)] * len(found)
