"""Searches: seeds, limits, reward, resuming; a kill anywhere changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_search import search, small

from nas.core.errors import NasError, RunError, UnknownName
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig
from nas.searching.pareto import non_dominated

ROOT = Path(__file__).parents[2]


def test_the_front_is_that_of_all_trials() -> None:
    run = search(trials=500, strategy="random")
    scores = run.setup.problem.scores(run.trials.metrics)
    assert set(run.front) == set(np.flatnonzero(non_dominated(scores)))
    assert run.new == len(run.trials) == 500
    assert run.hypervolume > 0
    assert run.best is not None
    assert run.best.accuracy == run.trials.metrics["top1_proxy"].max()


def test_seeds_are_the_first_trials() -> None:
    names = ("efficientnet_b0",)
    for strategy in ("random", "archive"):
        run = search(trials=300, strategy=strategy, seed_arch=names)
        assert run.setup.space.decode_row(run.trials.picks[0]) == load_architecture(names[0])
        assert run.trials.status[0] == "ok"
    assert len(search(trials=1, seed_arch=names).trials) == 1


def test_a_seed_beyond_the_limits_is_infeasible_and_the_search_continues() -> None:
    run = search(trials=50, strategy="random", seed_arch="efficientnet_b0", limit="macs<=100M")
    assert run.trials.status[0] == "infeasible"
    assert np.isnan(run.trials.metrics["top1_proxy"][0])
    assert run.trials.ok.sum() == 49


def test_reward_is_maximised() -> None:
    run = search(trials=400, strategy="random", reward="target=80")
    reward = run.trials.metrics["reward"]
    expected = run.trials.metrics["top1_proxy"] * (run.trials.metrics["latency_ms"] / 80) ** -0.07
    assert reward == pytest.approx(expected)
    assert len(run.solutions) == 10
    assert set(run.front) == set(np.argsort(-reward)[:10])


@pytest.mark.parametrize("limit", ["macs<=200M", "params<=4M", "latency_ms<=60"])
def test_limits_hold_for_every_solution(limit: str) -> None:
    run = search(trials=1000, limit=limit)
    metric, value = limit.split("<=")
    assert len(run.solutions) > 3
    bound = float(value.rstrip("M")) * (1e6 if value.endswith("M") else 1)
    assert run.trials.metrics[metric][run.front].max() <= bound


def test_the_same_seed_finds_the_same_and_another_does_not() -> None:
    one, same, other = (search(trials=600, seed=seed).trials.picks for seed in (4, 4, 5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_nothing_that_satisfies_the_constraints_is_an_empty_front(
    tmp_path: Path, fakes_path: Path
) -> None:
    config = _tiny(fakes_path, trials=40, limit=("top1>=0.99",))
    run = search(config, out=tmp_path / "run")
    assert (len(run.trials), run.solutions, run.best, run.hypervolume) == (40, (), None, 0.0)
    assert run.records() == []
    assert (tmp_path / "run" / "pareto.csv").read_text().strip() == ""


def test_a_small_space_ends_the_search_early(fakes_path: Path) -> None:
    run = search(_tiny(fakes_path, trials=5000))
    assert len(run.trials) == 576
    assert run.finished


def test_volume_reaches_to_the_limit_that_bounds_an_objective_on_its_bad_side() -> None:
    free, lower, upper = (
        search(trials=100, strategy="random", limit=limit)
        for limit in ((), "latency_ms>=1", "latency_ms<=1000")
    )
    assert lower.hypervolume == free.hypervolume > 0
    assert lower.reference_point.tolist() == free.reference_point.tolist()
    assert upper.reference_point.tolist() == [0, 1000]


def test_volume_reaches_to_twice_the_baseline_where_no_limit_does() -> None:
    run = search(trials=100, strategy="random", objective=("top1_proxy", "macs", "activations"))
    b0 = cost(load_architecture("efficientnet_b0"))
    assert run.reference_point.tolist() == [0, 2 * b0.macs, 2 * b0.activations]


def test_a_baseline_outside_of_the_space_bounds_the_volume_too(
    tmp_path: Path, fakes_path: Path
) -> None:
    text = (fakes_path / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(f"{text}baseline: mobilenet_v3_small\n")
    run = search(_tiny(tmp_path, trials=20))
    assert run.baseline is not None
    assert run.baseline.accuracy is None
    assert run.reference_point.tolist() == [0, 2 * run.baseline.latency.ms]
    assert all(row["gain"] is None for row in run.records())


def test_the_best_is_one_record_the_most_accurate() -> None:
    run = search(trials=200, strategy="random")
    (best,) = (row for row in run.records() if row["best"])
    assert run.best is not None
    assert best["name"] == run.best.name
    assert best["top1_proxy"] == max(row["top1_proxy"] for row in run.records())


def test_more_trials_continue_a_finished_run(tmp_path: Path) -> None:
    short = search(trials=300, strategy="random", batch=100, out=tmp_path / "run")
    longer = search(trials=500, strategy="random", batch=100, out=tmp_path / "run")
    at_once = search(trials=500, strategy="random", batch=100)
    assert (short.new, longer.new, len(longer.trials)) == (300, 200, 500)
    assert np.array_equal(longer.trials.picks, at_once.trials.picks)
    again = search(trials=500, strategy="random", batch=100, out=tmp_path / "run")
    assert (again.new, again.records()) == (0, at_once.records())
    content = (tmp_path / "run" / "run.yaml").read_bytes()
    with pytest.raises(RunError, match="run holds 500 trials already, more than 499; give another"):
        search(trials=499, strategy="random", batch=100, out=tmp_path / "run")
    assert (tmp_path / "run" / "run.yaml").read_bytes() == content


def test_a_setting_that_does_not_exist_is_reported() -> None:
    with pytest.raises(UnknownName, match="unknown setting 'trails'; did you mean trials"):
        search(trails=5)


def test_a_damaged_journal_is_reported_before_its_trials_are_counted(tmp_path: Path) -> None:
    search(trials=10, strategy="random", out=tmp_path)
    journal = tmp_path / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"status"', '"stutus"'))
    with pytest.raises(RunError, match="line 3: damaged"):
        search(trials=10, strategy="random", out=tmp_path)


def test_another_problem_is_refused_and_the_run_stays(tmp_path: Path) -> None:
    search(trials=100, strategy="random", out=tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    for change in (
        {"seed": 1},
        {"strategy": "archive"},
        {"limit": "macs<=1G"},
        {"latency_table": "pixel2"},
    ):
        with pytest.raises(RunError, match="is the run of another search: its "):
            search(out=tmp_path, **{"trials": 100, "strategy": "random", **change})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_a_file_that_changed_under_a_run_is_noticed(tmp_path: Path, fakes_path: Path) -> None:
    text = (fakes_path / "tiny.yaml").read_text(encoding="utf-8")
    space = tmp_path / "mine.yaml"
    space.write_text(text)
    config = small(space=str(space), evaluator="fakes.plain", allow_extrapolation=True,
                          trials=20, strategy="random")  # fmt: skip
    search(config, out=tmp_path / "run")
    space.write_text(text.replace("width: 16", "width: 24"))
    with pytest.raises(RunError, match="another search: its choices are"):
        search(config, out=tmp_path / "run")


def test_an_unreachable_limit_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="cannot be satisfied"):
        search(limit="latency_ms<=1", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_interrupt_keeps_what_was_found(tmp_path: Path) -> None:
    def stop(done: int, wanted: int, note: str) -> None:
        if done >= 200:
            raise KeyboardInterrupt

    broken = search(trials=500, strategy="random", batch=100, out=tmp_path, progress=stop)
    assert (broken.finished, len(broken.trials)) == (False, 200)
    whole = search(trials=500, strategy="random", batch=100, out=tmp_path)
    assert whole.records() == search(trials=500, strategy="random", batch=100).records()


def test_killed_searches_end_like_one_that_was_not(tmp_path: Path, fakes_path: Path) -> None:
    config = _tiny(fakes_path, trials=300, strategy="archive", batch=20, delay=0.002)
    whole = search(config, out=tmp_path / "whole")
    size = (tmp_path / "whole" / "journal.jsonl").stat().st_size
    out = tmp_path / "killed"
    for share in (0.0, 0.1, 0.45, 0.8):
        _kill_at(config, out, int(share * size))
    resumed = search(config, out=out)
    assert len(resumed.trials) == len(whole.trials)
    assert (out / "pareto.csv").read_bytes() == (tmp_path / "whole" / "pareto.csv").read_bytes()
    assert _archs(out) == _archs(tmp_path / "whole")
    assert 0 < resumed.new < 300


def _kill_at(config: SearchConfig, out: Path, size: int) -> None:
    """Search in another process, which is killed when its journal has `size` bytes."""
    names = ("space", "evaluator", "strategy", "trials", "batch")
    words = [f"--{name}={getattr(config, name)}" for name in names]
    code = "from nas.cli import main; main()"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "search",
            *words,
            "--allow-extrapolation",
            "--seed-arch=none",
            f"--out={out}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'data'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = out / "journal.jsonl"
    deadline = time.monotonic() + 30
    while not journal.exists() or journal.stat().st_size <= size:
        assert process.poll() is None, "the search ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _archs(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "archs").iterdir()}


def _tiny(
    data: Path,
    *,
    trials: int,
    strategy: str = "random",
    batch: int = 0,
    limit: tuple[str, ...] = (),
    delay: float = 0.0,
) -> SearchConfig:
    return small(
        space=str(data / "tiny.yaml"),
        evaluator=f"fakes.plain:delay={delay}" if delay else "fakes.plain",
        strategy=strategy,
        trials=trials,
        batch=batch,
        limit=limit,
        allow_extrapolation=True,
    )


def test_the_journal_holds_the_settings_that_matter(tmp_path: Path) -> None:
    search(trials=10, strategy="random", limit="macs<=1G", out=tmp_path)
    header = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0])
    assert header["schema"] == 1
    assert header["space"] == "mnasnet_b0"
    assert header["limits"] == ["macs<=1000000000"]
    assert header["evaluators"][0] == "costs"
    env = json.loads((tmp_path / "env.json").read_text())
    assert env["schema"] == 1
    assert env["seed"] == 0
    assert env["table"] == {"name": "pixel1", "device": "Google Pixel 1"}
