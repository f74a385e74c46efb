"""Members and references: everything that is reported of an architecture agrees with its parts."""

from dataclasses import asdict

import pytest

from nas.core import data
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig, Setup, prepare
from nas.searching.loop import search
from nas.searching.solutions import record, reference, references

NAMES = (
    "name", "top1_proxy", "top1_proxy_deviation", "top1_proxy_outside", "gain", "gain_deviation",
    "latency_ms", "latency_low_ms", "latency_high_ms", "macs", "params", "activations",
    "trial", "fingerprint", "picks",
)  # fmt: skip


@pytest.fixture(scope="module")
def setup() -> Setup:
    return prepare(SearchConfig())


def test_a_reference_in_the_space_is_judged_like_the_found(setup: Setup) -> None:
    b0 = reference(setup, "efficientnet_b0")
    assert b0.picks == setup.space.encode(load_architecture("efficientnet_b0"))
    assert b0.accuracy is not None
    assert b0.deviation is not None
    assert 0.63 < b0.accuracy < 0.68
    assert b0.published == pytest.approx(0.771, abs=0.005)
    assert b0.latency == setup.table.predict(b0.arch)
    assert (b0.macs, b0.params) == (cost(b0.arch).macs, 5_288_548)
    assert b0.metrics == pytest.approx({"latency_ms": b0.latency.ms, **asdict(cost(b0.arch))})


def test_a_reference_outside_of_the_space_has_no_accuracy(setup: Setup) -> None:
    v3 = reference(setup, "mobilenet_v3_large")
    assert (v3.accuracy, v3.picks, v3.deviation) == (None, None, None)
    assert v3.published == pytest.approx(0.752, abs=0.001)
    assert v3.gain(reference(setup, "efficientnet_b0")) is None
    assert v3.metrics == {"latency_ms": v3.latency.ms, **asdict(cost(v3.arch))}


def test_all_bundled_architectures_are_references(setup: Setup) -> None:
    assert [member.name for member in references(setup)] == list(data.bundled("architectures"))


def test_records_have_the_fixed_names(setup: Setup) -> None:
    b0 = reference(setup, "efficientnet_b0")
    found = record(b0, "top1_proxy", b0)
    assert tuple(found) == NAMES
    assert found["gain"] == 0.0
    assert found["activations"] == cost(b0.arch).activations


def test_with_one_objective_the_best_comes_first() -> None:
    run = search(trials=300, strategy="random", reward="target=80")
    rewards = [member.metrics["reward"] for member in run.members]
    assert rewards == sorted(rewards, reverse=True)
    assert run.best is run.members[0]
    assert run.best.accuracy < max(member.accuracy or 0.0 for member in run.members)
    found = run.records()
    assert [row["reward"] for row in found] == rewards
    assert [row["best"] for row in found] == [True] + [False] * (len(found) - 1)
    small = search(trials=300, strategy="random", objective="macs")
    macs = [member.macs for member in small.members]
    assert macs == sorted(macs)
    assert macs[0] == small.trials.metrics["macs"].min()


def test_members_are_the_trials_they_say() -> None:
    run = search(trials=300, strategy="random", limit="latency_ms<=120")
    assert [m.name for m in run.members] == [f"{i:03d}" for i in range(1, len(run.members) + 1)]
    ms = [member.latency.ms for member in run.members]
    assert ms == sorted(ms)
    for member in run.members:
        assert member.trial is not None
        assert member.picks == run.setup.space.unpack(run.trials.picks[member.trial])
        metrics = {name: values[member.trial] for name, values in run.trials.metrics.items()}
        assert member.metrics == metrics
        assert member.accuracy == metrics["top1_proxy"]
        assert member.latency.ms == pytest.approx(metrics["latency_ms"])
        assert member.latency.low_ms < member.latency.ms < member.latency.high_ms
        assert (member.macs, member.params) == (metrics["macs"], metrics["params"])
        assert member.arch == run.setup.space.decode(member.picks)
        assert member.arch.name == member.name
