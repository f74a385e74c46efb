"""What both experiments of rediscovery do: search under a known network's latency, and judge."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from accuracy_fitting import PLANS, fit_model
from accuracy_rows import Rows, read_rows
from judges import fit_judges, halves
from matplotlib.figure import Figure
from numpy.typing import NDArray
from running import circumstances, reference_front, run, share

from nas import data
from nas.config import SearchConfig, Setup, prepare
from nas.evaluators.surrogate import Surrogate
from nas.members import reference, references
from nas.problem import Problem, Trials
from nas.report.plots import draw_front
from nas.searching import search
from nas.space import Matrix

Floats = NDArray[np.float64]
TRIALS = 10_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is rediscovered: `baseline` is a point of `space`, `limit_ms` the budget on pixel1."""

    space: str
    baseline: str
    limit_ms: float
    others: tuple[str, ...]
    data: str


def main(case: Case, folder: Path) -> None:
    parser = argparse.ArgumentParser(description=f"Search {case.space} at {case.limit_ms:.1f} ms.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data") / case.data)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--reference", type=int, default=1_000_000, help="evaluations")
    options = parser.parse_args()
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    setup = prepare(SearchConfig(space=case.space, limit=(f"latency_ms<={case.limit_ms!r}",)))
    runs = [run(setup.problem, "archive", TRIALS, seed) for seed in range(options.seeds)]
    say("searched; now the reference front")
    front = reference_front(setup.problem, evaluations=options.reference)
    say("reference front done; now the guide and its judges")
    result = {
        "schema": 1,
        "budget_ms": case.limit_ms,
        "known": {name: known(setup, name) for name in (case.baseline, *case.others)},
        "seeds": [seed_result(setup, trials, front) for trials in runs],
        "reference": reference_result(setup, case, front),
        "choices": choices(setup, case, runs),
        "judged": judged(setup, case, read_rows(options.data, case.space), options.seeds, say),
        **circumstances(time.perf_counter() - started),
    }
    data.write_text(folder / "result.yaml", data.to_yaml(rounded(result)))
    whole = search(space=case.space, trials=TRIALS)
    draw_front(whole, references(whole.setup), [folder / "front.png"])
    draw_judged(result["judged"], folder / "judged.png", case)


def known(setup: Setup, name: str) -> dict[str, Any]:
    """Return what the table and the model say about a bundled architecture."""
    member = reference(setup, name)
    return {
        "latency_ms": member.latency.ms,
        setup.accuracy: member.accuracy,
        "published_top1": member.published,
        "macs": member.macs,
        "params": member.params,
    }


def best_of(setup: Setup, trials: Trials) -> int:
    """Return the position of the most accurate trial that keeps the budget."""
    return int(np.argmax(np.where(trials.ok, trials.metrics[setup.accuracy], -np.inf)))


def seed_result(setup: Setup, trials: Trials, front: Floats) -> dict[str, Any]:
    """Return what one search found."""
    best = best_of(setup, trials)
    baseline = reference(setup, setup.space.baseline)
    accuracy = trials.metrics[setup.accuracy]
    as_good = trials.ok & (accuracy >= (baseline.accuracy or 0.0))
    fastest = float(trials.metrics["latency_ms"][as_good].min()) if as_good.any() else None
    return {
        "hypervolume_share": share(setup.problem, trials, front),
        "best": float(accuracy[best]),
        "gain_points": 100 * float(accuracy[best] - (baseline.accuracy or 0.0)),
        "behind_reference_points": 100 * float(-front[:, 0].min() - accuracy[best]),
        "best_latency_ms": float(trials.metrics["latency_ms"][best]),
        "fastest_as_good_ms": fastest,
        "evaluation_seconds": trials.seconds,
    }


def reference_result(setup: Setup, case: Case, front: Floats) -> dict[str, Any]:
    """Return how far the baseline is from the reference front."""
    baseline = reference(setup, case.baseline)
    accuracy, ms = -front[:, 0], front[:, 1]
    as_good = ms[accuracy >= (baseline.accuracy or 0.0)]
    return {
        "points": len(front),
        "gain_at_equal_latency_points": 100
        * float(accuracy[ms <= baseline.latency.ms].max() - (baseline.accuracy or 0.0)),
        "time_saved_at_equal_accuracy": float(1 - as_good.min() / baseline.latency.ms)
        if as_good.size
        else None,
    }


def choices(setup: Setup, case: Case, runs: Sequence[Trials]) -> dict[str, str]:
    """Return, choice by choice, the baseline's pick and those of the best of every seed."""
    base = reference(setup, case.baseline).picks or {}
    found = [setup.space.unpack(trials.picks[best_of(setup, trials)]) for trials in runs]
    result = {}
    for name in setup.space.choices:
        counts = Counter(str(picks.get(name, "-")) for picks in found).most_common()
        texts = ", ".join(f"{value} ({count})" for value, count in counts)
        result[name] = f"{base.get(name, '-')} -> {texts}"
    return result


def judged(
    setup: Setup, case: Case, rows: Rows, seeds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Search with a guide fitted on one half of the rows; let models of the other half judge."""
    guide_rows, judge_rows = halves(rows, seed=0)
    guide, _ = fit_model(PLANS[case.space], guide_rows, 0)
    say("guide fitted")
    judges = fit_judges(judge_rows)
    guided = with_judge(setup, guide)
    base = setup.space.pack(reference(setup, case.baseline).picks or {})[None]
    verdicts: dict[str, list[float]] = {"guide": [], **{name: [] for name in judges}}
    for seed in range(seeds):
        trials = run(guided, "archive", TRIALS, seed)
        best = trials.picks[[best_of(setup, trials)]]
        verdicts["guide"].append(gain(guide.accuracy, best, base))
        for name, judge in judges.items():
            verdicts[name].append(gain(judge, best, base))
    return verdicts


def with_judge(setup: Setup, model: Any) -> Problem:
    """Return the problem with another accuracy model."""
    free = setup.problem.free
    return replace(setup.problem, evaluators=(*free, Surrogate(model)))


def gain(judge: Callable[[Matrix], Floats], rows: Matrix, base: Matrix) -> float:
    """Return by how many points `judge` puts the first row before the baseline."""
    return 100 * float(judge(rows)[0] - judge(base)[0])


def draw_judged(verdicts: Mapping[str, Sequence[float]], path: Path, case: Case) -> None:
    """Draw the gains that each model gives to the architectures found by the guide."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6, 0.6 + 0.5 * len(verdicts)), layout="constrained")
        axes = figure.add_subplot()
        for i, (name, gains) in enumerate(reversed(verdicts.items())):
            axes.plot(gains, [i] * len(gains), "o", alpha=0.6,
                      color="#c8442c" if name == "guide" else "#1f6fb4")  # fmt: skip
        axes.set_yticks(range(len(verdicts)), list(reversed(verdicts)))
        axes.axvline(0, color="#999999", linewidth=0.8)
        axes.set_xlabel(f"gain over {case.baseline} (points), a dot for each seed")
        axes.set_xlim(left=min(0.0, *(min(gains) for gains in verdicts.values())) - 0.05)
        axes.grid(axis="x", alpha=0.25)
        figure.savefig(path, dpi=160, metadata={"Software": "nas"})


def rounded(content: Any) -> Any:
    """Return `content` with its numbers to six digits."""
    match content:
        case dict():
            return {key: rounded(value) for key, value in content.items()}
        case list() | tuple():
            return [rounded(value) for value in content]
        case float():
            return float(f"{content:.6g}")
    return content
