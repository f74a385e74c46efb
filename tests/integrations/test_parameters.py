"""Parameters of other engines as choices, and strategies asked for one candidate at a time."""

from typing import Any

import numpy as np
import pytest

from nas.core.errors import NasError, UnknownName
from nas.core.plugins import available
from nas.integrations.ask_tell import AskTell
from nas.integrations.parameters import POINTS, of_space, of_values, steps
from nas.space.space import Space

PLAIN = ("archive", "evolution", "grid", "guided", "local", "random", "reinforce", "tpe")


def test_numbers_stand_for_a_range() -> None:
    assert steps(1, 5, step=1) == (1, 2, 3, 4, 5)
    assert steps(0, 1, step=0.25) == (0, 0.25, 0.5, 0.75, 1)
    assert len(steps(0, 1)) == POINTS
    assert steps(0, 1)[-1] == 1
    logarithmic = np.log(steps(1e-4, 1, log=True))
    assert np.allclose(np.diff(logarithmic), np.diff(logarithmic)[0])
    many = steps(1, 10_000, step=1, log=True)
    assert many[0] == 1
    assert many[-1] == 10_000
    assert len(many) <= POINTS
    assert len(steps(0, 10_000, step=1)) <= POINTS
    assert steps(3, 3, step=1) == (3,)


def test_values_are_packed_and_unpacked() -> None:
    found = of_values({"a": ["x", None, True], "b": [1, 2, 4], "c": [7]})
    assert list(found.values) == ["a", "b"]
    for row in ([0, 0], [1, 2], [2, 1]):
        values = found.unpack(np.array(row, np.uint8))
        assert found.pack({**values, "c": 7}).tolist() == row
    assert found.pack({"a": "x", "b": 3.4}).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": "x"}, "parameter b is missing"),
        ({"a": "y", "b": 1}, "parameter a is 'y'; there are x, None, True"),
    ],
)
def test_values_without_a_place_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        of_values({"a": ["x", None, True], "b": [1, 2, 4]}).pack(values)


def test_what_leaves_no_choice_is_refused() -> None:
    with pytest.raises(NasError, match="nothing to choose"):
        of_values({"a": [1]})
    with pytest.raises(NasError, match="a has 300 values; a choice has 255 at most"):
        of_values({"a": range(300)})


def test_the_strategies_here_are_most_of_ours() -> None:
    assert set(PLAIN) <= set(available("strategies"))


@pytest.mark.parametrize("strategy", PLAIN)
def test_every_strategy_searches_parameters_without_networks(strategy: str) -> None:
    parameters = of_values({"x": steps(-1, 1), "y": range(10), "kind": ["good", "bad", None]})

    def run(seed: int) -> list[float]:
        ask_tell = AskTell(parameters, {"loss": "min"}, strategy=strategy, seed=seed)
        found = []
        for _ in range(30):
            values = ask_tell.ask()
            assert values is not None
            found.append(values["x"] ** 2 + values["y"] + 5 * (values["kind"] != "good"))
            ask_tell.tell(values, {"loss": found[-1]})
        return found

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_strategy_learns_what_is_better() -> None:
    parameters = of_values({f"x{i}": range(8) for i in range(6)})

    def mean(strategy: str) -> float:
        ask_tell, found = AskTell(parameters, {"score": "max"}, strategy=strategy), []
        for _ in range(150):
            values = ask_tell.ask()
            assert values is not None
            found.append(sum(values.values()))
            ask_tell.tell(values, {"score": found[-1]})
        return float(np.mean(found[75:]))

    assert mean("evolution") > mean("random") + 3


def test_failures_are_told_as_such() -> None:
    ask_tell = AskTell(of_values({"x": range(5)}), {"a": "min", "b": "max"}, strategy="random")
    for metrics in ({}, {"a": 1.0}, {"a": 1.0, "b": float("nan")}, {"a": 1.0, "b": 2.0}):
        values = ask_tell.ask()
        assert values is not None
        ask_tell.tell(values, metrics)
    assert ask_tell.told == 4


def test_a_strategy_that_has_no_more_says_so() -> None:
    ask_tell = AskTell(of_values({"x": range(3)}), {"a": "min"}, strategy="grid")
    found = [ask_tell.ask() for _ in range(4)]
    assert sorted(v["x"] for v in found[:3] if v) == [0, 1, 2]
    assert found[3] is None


def test_a_search_space_keeps_its_inactive_choices(tiny: Space) -> None:
    parameters = of_space(tiny)
    rows = tiny.sample_matrix(np.random.default_rng(0), 20)
    for row in rows:
        assert parameters.pack(parameters.unpack(row)).tolist() == row.tolist()


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown strategy 'giuded'; did you mean guided"):
        AskTell(of_values({"x": range(3)}), {"a": "min"}, strategy="giuded")
