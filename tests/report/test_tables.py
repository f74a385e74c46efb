"""Tables: their numbers, and the solutions shown."""

from dataclasses import replace

import numpy as np
import pytest
from small_search import search

from nas.latency.file import load_table
from nas.latency.reload import WeightReload
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.report.tables import (
    EXTRAPOLATED,
    OPTIMISM,
    accuracy_notes,
    accuracy_text,
    front_table,
    gain_text,
    headlines,
    highlights,
    latency_notes,
    network_table,
    spread,
)
from nas.searching.loop import Run
from nas.searching.solutions import Solution, known_solution, known_solutions


@pytest.fixture(scope="module")
def run() -> Run:
    return search(trials=400, strategy="random", seed_arch="efficientnet_b0")


@pytest.mark.parametrize("top", [1, 2, 5, 1000])
def test_spread_keeps_the_order_and_the_ends(run: Run, top: int) -> None:
    found = spread(run.solutions, top)
    names = [solution.name for solution in found]
    assert names == sorted(set(names))
    assert 1 <= len(found) <= top
    if top > 1:
        assert (found[0], found[-1]) == (run.solutions[0], run.solutions[-1])


def test_spread_is_even_over_the_latency(run: Run) -> None:
    ms = np.array([solution.latency.ms for solution in spread(run.solutions, 5)])
    assert np.diff(np.log(ms)).max() < 2.5 * np.log(ms[-1] / ms[0]) / 4
    assert spread((), 5) == []


def test_the_front_stands_with_known_architectures(run: Run) -> None:
    table = front_table(run, known=known_solutions(run.setup), top=6)
    shown = spread(run.solutions, 6, always=highlights(run.solutions, run.baseline))
    assert table.title == f"Pareto front: {len(run.solutions)} architectures, {len(shown)} shown"
    assert len({len(row) for row in table.rows} | {len(table.headings)}) == 1
    ms = [float(row[3]) for row in table.rows]
    assert ms == sorted(ms)
    stressed = [table.rows[i][0] for i in table.bold]
    assert stressed == ["efficientnet_b0"]
    baseline = table.rows[table.bold[0]]
    assert baseline[2] == "+0.00"
    assert baseline[-2:] == ("386", "5.29")
    names = [row[0] for row in table.rows]
    assert len(names) == 1 + len(shown)
    assert {solution.name for solution in shown} == {*names} - {"efficientnet_b0"}


def test_extrapolated_accuracies_are_marked_and_counted(run: Run) -> None:
    solutions = [replace(run.solutions[0], outside="too good"), *run.solutions[1:]]
    marked = replace(run)
    marked.__dict__["solutions"] = tuple(solutions)
    table = front_table(marked, top=1000)
    assert [EXTRAPOLATED in row[1] for row in table.rows] == [True] + [False] * (len(solutions) - 1)
    assert accuracy_notes(solutions) == (f"too good (in 1 of {len(solutions)})",)
    assert accuracy_notes(solutions[:1]) == ("too good",)
    assert accuracy_notes(solutions[1:]) == ()
    assert run.records()[0]["top1_proxy_outside"] == ""


def test_objectives_and_limits_without_a_column_get_one() -> None:
    by_reward = search(trials=200, strategy="random", reward="target=80",
                       limit=("activations<=9M", "macs<=1G"))  # fmt: skip
    table = front_table(by_reward, known=known_solutions(by_reward.setup), top=4)
    assert table.title == "The best architectures by reward"
    assert table.headings[-3:] == ("params M", "reward", "activations")
    assert [row[0] for row in table.rows] == ["001", "002", "003", "004", "efficientnet_b0"]
    for row, solution in zip(table.rows[:4], by_reward.solutions, strict=False):
        assert row[-2:] == tuple(f"{solution.metrics[m]:.6g}" for m in ("reward", "activations"))
    b0 = cost(load_architecture("efficientnet_b0"))
    judged = known_solution(by_reward.setup, "efficientnet_b0")
    assert table.rows[-1][-2:] == (f"{judged.metrics['reward']:.6g}", f"{b0.activations:.6g}")
    assert table.bold == (4,)


def test_headlines_compare_with_the_baseline() -> None:
    run = search(trials=3000)
    assert run.baseline is not None
    best, fastest = highlights(run.solutions, run.baseline)
    ms, accuracy = run.baseline.latency.ms, run.baseline.accuracy
    as_fast = [m for m in run.solutions if m.latency.ms <= ms]
    as_good = [
        m
        for m in run.solutions
        if m.accuracy - np.hypot(m.deviation, run.baseline.deviation) >= accuracy
    ]
    assert best.accuracy == max(m.accuracy for m in as_fast)
    assert fastest.latency.ms == min(m.latency.ms for m in as_good)
    lines = headlines(run.solutions, run.baseline, accuracy="top1_proxy")
    wanted = dict.fromkeys(_headline(m, run.baseline) for m in (best, fastest))
    assert lines == (*wanted, OPTIMISM)
    assert headlines(run.solutions, None, accuracy="top1_proxy") == ()
    assert headlines((), run.baseline, accuracy="top1_proxy") == ()


def _headline(solution: Solution, base: Solution) -> str:
    ms, base_ms = solution.latency.ms, base.latency.ms
    share = f"{abs(100 - 100 * ms / base_ms):.0f} % {'less' if ms <= base_ms else 'more'}"
    points = 100 * (solution.accuracy - base.accuracy)
    spread = 100 * np.hypot(solution.deviation, base.deviation)
    return (
        f"{solution.name} against {base.name}: {points:+.2f} ±{spread:.2f} points of top1_proxy, "
        f"{ms:.1f} against {base_ms:.1f} ms ({share})"
    )


def test_a_solution_is_as_good_only_if_its_gain_less_its_deviation_says_so(run: Run) -> None:
    assert run.baseline is not None
    base = replace(run.baseline, accuracy=0.658, deviation=0.003)
    ms = base.latency.ms

    def solution(name: str, accuracy: float, share: float) -> Solution:
        latency = replace(base.latency, ms=share * ms)
        return replace(base, name=name, accuracy=accuracy, deviation=0.004, latency=latency)

    equal, ahead = solution("equal", 0.6581, 0.7), solution("ahead", 0.6631, 0.9)
    assert [m.name for m in highlights([equal, ahead], base)] == ["ahead", "ahead"]
    assert [m.name for m in highlights([equal], base)] == ["equal"]  # the best, but not as good
    assert "+0.51 ±0.50 points" in headlines([equal, ahead], base, accuracy="top1_proxy")[0]


def test_what_was_measured_has_no_deviation_and_no_warning(run: Run) -> None:
    assert run.baseline is not None
    base = replace(run.baseline, deviation=None)
    better = replace(base, name="007", accuracy=(base.accuracy or 0.0) + 0.01, judged=0.7)
    (line,) = headlines([better], base, accuracy="top1_proxy")
    assert line.startswith("007 against efficientnet_b0: +1.00 points of top1_proxy, ")
    (line,) = headlines([better], replace(base, judged=0.71), accuracy="top1_proxy")
    assert line.startswith(
        "007 against efficientnet_b0: +1.00 points of top1_proxy (judged: -1.00)"
    )


def test_the_baseline_itself_is_no_gain(run: Run) -> None:
    assert run.baseline is not None
    assert headlines([replace(run.baseline, name="007")], run.baseline, accuracy="top1_proxy") == ()


def test_fractions_are_shown_in_per_cent_and_scores_as_they_are() -> None:
    assert accuracy_text(0.7519, "top1") == "75.19"
    assert accuracy_text(0.7519, "top1_proxy") == "75.19"
    assert gain_text(-0.0123, "top1") == "-1.23"
    assert accuracy_text(-1234.5, "zero_cost") == "-1234.5"
    assert accuracy_text(0.00012, "zero_cost") == "0.00012"
    assert gain_text(12.3456, "zero_cost") == "+12.35"


@pytest.mark.torch
def test_a_table_of_scores_has_no_per_cent() -> None:
    pytest.importorskip("torch")
    run = search(evaluator="zero_cost:score=params,batch=2", trials=20, strategy="random")
    table = front_table(run, known=known_solutions(run.setup))
    assert table.headings[1:3] == ("zero_cost", "vs baseline")
    b0 = table.rows[table.bold[0]]
    assert (b0[0], b0[1], b0[2]) == ("efficientnet_b0", "5.28855e+06", "+0")
    for solution in run.solutions:
        row = next(row for row in table.rows if row[0] == solution.name)
        assert row[1] == f"{solution.params:.6g}"
        assert float(row[2]) == pytest.approx(solution.params - 5_288_548, rel=1e-3)
    lines = headlines(run.solutions, run.baseline, accuracy="zero_cost")
    assert not any("points" in line or "%" in line.partition(",")[0] for line in lines)


def test_headlines_say_what_is_slower_is_slower(run: Run) -> None:
    assert run.baseline is not None
    latency = replace(run.baseline.latency, ms=2 * run.baseline.latency.ms)
    slow = replace(run.baseline, name="007", latency=latency)
    slow = replace(slow, accuracy=(run.baseline.accuracy or 0) + 0.02)
    line, _ = headlines([slow], run.baseline, accuracy="top1_proxy")
    assert line.startswith("007 against efficientnet_b0: +2.00 ±")
    assert line.endswith(" ms (100 % more)")


def test_what_is_highlighted_is_always_shown(run: Run) -> None:
    always = highlights(run.solutions, run.baseline)
    for top in (1, 2, 3):
        found = spread(run.solutions, top, always=always)
        assert {m.name for m in found} == {m.name for m in (*spread(run.solutions, top), *always)}
        assert found == sorted(found, key=lambda solution: solution.latency.ms)
    assert highlights(run.solutions, None) == ()


def test_notes_are_reported_once_each(run: Run) -> None:
    notes = latency_notes(run.solutions)
    assert len(notes) == len(set(notes)) > 0
    assert latency_notes(()) == ()


def test_a_network_adds_up() -> None:
    table = network_table(load_architecture("mobilenet_v2"), load_table("pixel1"))
    assert {len(row) for row in table.rows} == {len(table.headings)}
    assert table.rows[-1][0] == "total"
    assert sum(float(row[-1]) for row in table.rows[:-1]) == pytest.approx(100, abs=1)
    assert sum(float(row[-2]) for row in table.rows[:-1]) == pytest.approx(
        float(table.rows[-1][-2]), abs=0.3
    )
    assert float(table.rows[-1][11]) == pytest.approx(3504.872, abs=0.1)
    assert table.headings[-2:] == ("pixel1 ms", "share %")


def test_references_outside_of_the_space_are_left_out() -> None:
    run = search(trials=3, strategy="random")
    known = known_solutions(run.setup)
    assert len(known) > 10
    table = front_table(replace(run, front=run.front[:0]), known=known)
    assert [row[0] for row in table.rows] == ["efficientnet_b0"]
    assert table.title == "Pareto front: 0 architectures, 0 shown"


def test_what_no_block_takes_has_a_row() -> None:
    own = WeightReload(fits_mb=1.0, misses_mb=2.0, ms_per_mb=0.5)
    table = replace(load_table("pixel1"), overhead_ms=0.25)
    arch = load_architecture("mobilenet_v2")
    for made, name, ms in (
        (table, "any run", 0.25),
        (replace(table, reload=own), "any run, loading weights", 0.25 + 2e-6 * cost(arch).params),
    ):
        *blocks, rest, total = network_table(arch, made).rows
        assert (rest[0], rest[-2]) == (name, f"{ms:.2f}")
        parts = [float(row[-2]) for row in (*blocks, rest)]
        assert sum(parts) == pytest.approx(float(total[-2]), abs=0.005 * len(parts))
    assert network_table(arch, load_table("pixel1")).rows[-2][0].startswith("head")
