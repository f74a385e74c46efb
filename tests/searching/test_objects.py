"""Objects instead of names: the same search, and a run folder that is read without them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_search import search

from nas.core.errors import NasError
from nas.latency.file import load_table
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig
from nas.searching.objects import Settings
from nas.searching.problem import Candidates, Constraint, Objective, Problem, Strategy
from nas.searching.reward import Reward
from nas.searching.runs.check import table_of
from nas.searching.runs.stored import read_run
from nas.searching.strategies.random import create as random_strategy
from nas.space.file import load_space, space_from_mapping
from nas.space.mapping import to_mapping

FEW: dict[str, Any] = {"trials": 60, "seed_arch": ()}


class Depth:
    """Prefers deep networks."""

    provides = ("top1",)
    seconds = 0.01
    note = "the number of layers"

    def __call__(self, candidates: Candidates) -> Mapping[str, Any]:
        layers = [sum(map(len, arch.stages)) for arch in candidates.archs]
        return {"top1": np.array(layers) / 100}

    def deviation(self, candidates: Candidates) -> Mapping[str, Any]:
        return {}

    def __str__(self) -> str:
        return "depth, per cent"


class Blocks(Depth):
    provides = ("blocks",)

    def __call__(self, candidates: Candidates) -> Mapping[str, Any]:
        return {"blocks": 100 * np.asarray(super().__call__(candidates)["top1"])}

    def __str__(self) -> str:
        return "blocks"


def _random(problem: Problem, *, seed: int) -> Strategy:
    return random_strategy(problem, seed=seed)


def test_keywords_are_those_of_the_settings() -> None:
    assert set(Settings.__annotations__) == {f.name for f in fields(SearchConfig)} | {"era"}


def test_objects_give_the_search_of_their_names(tmp_path: Path) -> None:
    named = search(
        space="mnasnet_b0",
        latency_table="pixel2",
        strategy="random",
        limit="latency_ms<=60",
        objective=("max:top1_proxy", "min:macs"),
        trials=60,
        seed_arch=("efficientnet_b0",),
    )
    given = search(
        space=load_space("mnasnet_b0"),
        latency_table=load_table("pixel2"),
        strategy=_random,
        limit=Constraint.parse("latency_ms<=60"),
        objective=(Objective.parse("top1_proxy"), "min:macs"),
        trials=60,
        seed_arch=load_architecture("efficientnet_b0"),
        out=tmp_path / "run",
    )
    assert [s.arch for s in given.solutions] == [s.arch for s in named.solutions]
    assert given.solutions[0].latency == named.solutions[0].latency
    assert not (tmp_path / "run/latency_table.yaml").exists()  # its name is enough


def test_a_reward_may_be_an_object() -> None:
    given = search(reward=Reward(accuracy="top1", target=40, below=-0.1), **FEW)
    assert (
        given.setup.problem.reward
        == search(reward="target=40,below=-0.1", **FEW).setup.problem.reward
    )


def test_several_evaluators(tmp_path: Path) -> None:
    wanted = {"evaluator": [Depth(), Blocks()], "limit": "blocks<=18", "strategy": "random", **FEW}
    found = search(out=tmp_path / "run", **wanted)
    assert found.setup.accuracy == "top1"
    assert max(s.metrics["blocks"] for s in found.solutions) <= 18
    assert search(out=tmp_path / "run", **wanted).new == 0
    with pytest.raises(NasError, match="evaluators"):
        search(out=tmp_path / "run", **{**wanted, "evaluator": Depth(), "limit": ()})


def test_a_run_of_objects_needs_them_to_resume_but_not_to_be_read(tmp_path: Path) -> None:
    out = tmp_path / "run"
    space = replace(load_space("mnasnet_b0"), name="mine", resolutions=(160, 192))
    table = replace(load_table("pixel1"), name="my_phone")
    wanted = {"space": space, "latency_table": table, "strategy": _random, **FEW}
    found = search(out=out, evaluator=Depth(), **wanted)
    with pytest.raises(NasError, match=r"evaluator was an object of Python \(depth, per cent\)"):
        search(out=out, **{**wanted, "evaluator": "object:depth, per cent"})
    with pytest.raises(NasError, match=r"strategy was an object of Python \(_random\)"):
        search(out=out, evaluator=Depth(), **{**wanted, "strategy": "object:_random"})
    stored = read_run(out)
    assert stored.space == space_from_mapping(to_mapping(space))
    assert np.array_equal(stored.trials.picks, found.trials.picks)
    assert table_of("my_phone", out) == table
    again = search(
        out=out, evaluator=Depth(), strategy=_random, space="mine", latency_table="my_phone", **FEW
    )
    assert again.new == 0


def test_a_seed_that_was_an_object_is_asked_for(tmp_path: Path) -> None:
    arch = load_architecture("efficientnet_b0")
    search(out=tmp_path / "run", seed_arch=[arch], trials=20)
    with pytest.raises(NasError, match=r"seed_arch was an object of Python \(efficientnet_b0\)"):
        search(out=tmp_path / "run", seed_arch="object:efficientnet_b0", trials=20)
    assert search(out=tmp_path / "run", seed_arch=arch, trials=20).new == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"spce": "mbconv"}, "unknown setting 'spce'; did you mean space"),
        ({"evaluator": 3}, "evaluator: expected an evaluator, or its name alone, not 3"),
        ({"evaluator": ()}, "evaluator: expected one evaluator or more, found none"),
        ({"evaluator": None}, "evaluator: expected an evaluator, or its name alone, not None"),
        (
            {"latency_table": replace(load_table("pixel1"), name="Pi 4, int8")},
            "latency_table: a name without a comma is needed, not Pi 4, int8",
        ),
        ({"strategy": 3}, "strategy: expected a name or a function of a problem and a seed, not 3"),
        ({"space": 3}, "space: expected"),
        ({"latency_table": load_space("mbconv")}, "latency_table: expected"),
        ({"seed_arch": 3}, "seed_arch: expected"),
        ({"limit": 3}, "limit: expected"),
    ],
)
def test_other_things_are_refused_in_a_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message) as found:
        search(**settings)
    assert "\n" not in str(found.value)


class Plain:
    """An evaluator without a text of its own."""

    provides = ("top1",)
    seconds = 0.01
    note = ""

    def __call__(self, candidates: Candidates) -> Mapping[str, Any]:
        return {"top1": np.full(len(candidates), 0.5)}

    def deviation(self, candidates: Candidates) -> Mapping[str, Any]:
        return {}


def test_an_evaluator_without_a_text_counts_by_its_class(tmp_path: Path) -> None:
    wanted = {"strategy": "random", **FEW}
    search(out=tmp_path / "run", evaluator=Plain(), **wanted)
    assert search(out=tmp_path / "run", evaluator=Plain(), **wanted).new == 0


def test_the_table_that_a_run_keeps_is_shown(tmp_path: Path, nas: Callable[..., Any]) -> None:
    table = load_table("pixel1")
    slow = replace(table, overhead_ms=table.overhead_ms + 1000.0)
    found = search(latency_table=slow, out=tmp_path / "run", strategy="random", **FEW)
    shown = nas("show", f"{tmp_path / 'run'}:001", "--json")
    assert json.loads(shown.out)["latency_ms"] == pytest.approx(found.solutions[0].latency.ms)
    assert table_of("pixel2", tmp_path / "run") == load_table("pixel2")
