"""Limits that nothing can satisfy are reported before the search, with the nearest value."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from small_search import search, small

from nas.core.errors import Unreachable
from nas.searching.constraints import check_constraints
from nas.searching.evaluate import evaluate
from nas.searching.problem import Problem
from nas.searching.setup import prepare


@pytest.mark.parametrize("metric", ["macs", "params", "activations", "top1"])
def test_the_nearest_reachable_value_is_the_best_of_all(
    with_constraints: Callable[..., Problem], all_rows: np.ndarray, metric: str
) -> None:
    with_constraints().evaluators[1].seconds = 1e-6  # a look-up, so that it is tried
    values = evaluate(with_constraints(), all_rows).metrics[metric]
    for text, best in ((f"{metric}<=0.1", values.min()), (f"{metric}>=9G", values.max())):
        with pytest.raises(Unreachable, match=f"{metric}.* cannot be satisfied") as caught:
            check_constraints(with_constraints(text))
        found = re.search(r"is at (?:least|most) (\S+)$", str(caught.value))
        assert found
        assert float(found[1]) == pytest.approx(best, rel=1e-5)


def test_limits_at_the_edge_of_the_space_are_let_pass(
    with_constraints: Callable[..., Problem], all_rows: np.ndarray
) -> None:
    macs = evaluate(with_constraints(), all_rows).metrics["macs"]
    check_constraints(with_constraints(f"macs<={macs.min():.0f}"))
    check_constraints(with_constraints(f"macs>={macs.max():.0f}"))
    check_constraints(with_constraints(f"macs<={macs.max():.0f}", f"macs>={macs.max():.0f}"))


@pytest.mark.parametrize("limit", ["latency_ms<=1", "macs<=1k", "params>=9G", "top1_proxy>=0.9"])
def test_the_value_that_is_named_can_be_met(limit: str) -> None:
    with pytest.raises(Unreachable) as caught:
        check_constraints(prepare(small(limit=(limit,))).problem)
    value = str(caught.value).split()[-1]
    relation = "<=" if "<=" in limit else ">="
    metric = limit.partition(relation)[0]
    assert value.isdigit() == (metric in ("macs", "params"))
    check_constraints(prepare(small(limit=(f"{metric}{relation}{value}",))).problem)


def test_metrics_that_are_expensive_are_not_tried(with_constraints: Callable[..., Problem]) -> None:
    problem = with_constraints("top1>=1.2")
    check_constraints(problem)
    assert problem.evaluators[1].calls == []


@pytest.mark.parametrize(
    "limits",
    [
        ("macs<=300k", "macs>=400k"),
        ("latency_ms<=20", "macs>=300M"),
        ("latency_ms<=30", "top1_proxy>=0.67"),
    ],
)
def test_limits_that_contradict_each_other_are_reported(
    with_constraints: Callable[..., Problem], limits: tuple[str, str]
) -> None:
    tiny = "k" in limits[0]
    problem = with_constraints(*limits) if tiny else prepare(small(limit=limits)).problem
    with pytest.raises(Unreachable, match=r"contradict each other .* the nearest found has ") as e:
        check_constraints(problem)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("space", ["mnasnet_b0", "mobilenetv3"])
def test_limits_that_only_the_front_keeps_are_let_pass(space: str) -> None:
    run = search(space=space, trials=800)
    for solution in run.solutions[:: max(1, len(run.solutions) // 3)]:
        limits = (
            f"latency_ms<={1.0001 * solution.latency.ms}",
            f"{run.setup.accuracy}>={solution.accuracy or 0.0}",
        )
        check_constraints(prepare(small(space=space, limit=limits)).problem)


def test_every_space_says_its_least_latency() -> None:
    for space, table in (("mnasnet_b0", "pixel1"), ("mobilenetv3", "pixel3")):
        with pytest.raises(Unreachable, match=f"latency_ms in space {space} is at least"):
            search(space=space, latency_table=table, limit="latency_ms<=1")
