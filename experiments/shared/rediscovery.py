"""What both experiments of rediscovery do: search under a known network's latency, and judge."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import yaml
from matplotlib.figure import Figure

from experiments.shared import searches
from experiments.shared.fitting import PLANS, fit_model
from experiments.shared.folders import SHARED_DATA
from experiments.shared.judges import Predict, fit_judges, halves
from experiments.shared.results import BLUE, RED, circumstances, rounded, save, significant
from experiments.shared.rows import SCALES, Rows, read_rows
from nas.accuracy.predictor import Floats
from nas.core import data
from nas.core.files import write_text
from nas.report.plots import draw_front
from nas.searching.config import SearchConfig, Setup, prepare
from nas.searching.evaluators.surrogate import Surrogate
from nas.searching.loop import search
from nas.searching.problem import Problem, Trials
from nas.searching.solutions import known_solution, known_solutions
from nas.space.space import Matrix

Say = Callable[[str], None]
PACKAGES = ("numpy", "optuna", "scikit-learn")
TRIALS, LONG = 10_000, 100_000
SHARES = (1.0, 0.9, 0.8, 0.75)
"""Of the budget: the best within each is judged."""
AS_GOOD = "fastest at least as good"
"""By one deviation of the difference, as the guide sees it: what `nas search` puts into a line."""
REACHED = 1e-3
"""Points: a search this near to the best of the reference has found it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is rediscovered: `baseline` is a point of `space`, `limit_ms` the budget on pixel1."""

    space: str
    baseline: str
    limit_ms: float
    others: tuple[str, ...]
    data: str


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How thoroughly: halves of the rows that guide, searches with each, labels for a guide."""

    halves: int
    seeds: int
    labels: int


def main(case: Case, folder: Path) -> None:
    parser = argparse.ArgumentParser(description=f"Search {case.space} at {case.limit_ms:.1f} ms.")
    parser.add_argument("--data", type=Path, default=SHARED_DATA / case.data)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--reference", type=int, default=1_000_000, help="evaluations")
    parser.add_argument(
        "--halves", type=int, default=4, help="of the rows, that guide; 0 keeps verdicts"
    )
    parser.add_argument("--labels", type=int, default=300_000, help="that a guide learns from")
    options = parser.parse_args()
    judging = Judging(halves=options.halves, seeds=options.seeds, labels=options.labels)
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    setup = prepare(SearchConfig(space=case.space, limit=(f"latency_ms<={case.limit_ms!r}",)))
    runs = [_search(setup.problem, seed) for seed in range(options.seeds)]
    say("searched; now the reference front")
    count, each = max(1, options.reference // LONG), min(LONG, options.reference)
    *_, front = searches.reference_fronts(setup.problem, ["archive"], searches=count, each=each)
    point = searches.reference_points(setup.problem, front)["usual"]
    say("reference front done; now the guide and its judges")
    result = {
        "schema": 1,
        "budget_ms": case.limit_ms,
        "known": {name: known(setup, name) for name in (case.baseline, *case.others)},
        "seeds": [seed_result(setup, trials, front, point) for trials in runs],
        "reference": reference_result(setup, case, front),
        "choices": choices(setup, case, runs),
        **verdicts(setup, case, options.data, judging, folder=folder, say=say),
        **circumstances(PACKAGES, time.perf_counter() - started),
    }
    six = partial(significant, digits=6)
    write_text(folder / "result.yaml", data.to_yaml(rounded(result, six)))
    whole = search(space=case.space, trials=TRIALS)
    draw_front(whole, known_solutions(whole.setup), [folder / "front.png"])
    draw_judged(result["judged"], folder / "judged.png", case)
    print(show(result, case))


def verdicts(
    setup: Setup, case: Case, rows: Path, given: Judging, *, folder: Path, say: Say
) -> dict[str, Any]:
    """Return the verdicts of models that did not guide, or those of before if none are to guide."""
    if not given.halves:
        before = yaml.safe_load((folder / "result.yaml").read_text())
        return {name: before[name] for name in ("judged", "judged_on")}
    found = judged(setup, case, read_rows(rows, case.space), given, say)
    return {"judged": found, "judged_on": date.today().isoformat()}


def _search(problem: Problem, seed: int) -> Trials:
    return searches.run(problem, searches.strategy(problem, "archive", seed), TRIALS)


def known(setup: Setup, name: str) -> dict[str, Any]:
    """Return what the table and the model say about a bundled architecture."""
    solution = known_solution(setup, name)
    return {
        "latency_ms": solution.latency.ms,
        setup.accuracy: solution.accuracy,
        "published_top1": solution.published,
        "macs": solution.macs,
        "params": solution.params,
    }


def best_of(setup: Setup, trials: Trials) -> int:
    """Return the position of the most accurate trial that keeps the budget."""
    return int(np.argmax(np.where(trials.ok, trials.metrics[setup.accuracy], -np.inf)))


def seed_result(setup: Setup, trials: Trials, front: Floats, point: Floats) -> dict[str, Any]:
    """Return what one search found."""
    best = best_of(setup, trials)
    baseline = known_solution(setup, setup.space.baseline)
    accuracy, found = trials.metrics[setup.accuracy], searches.scores(setup.problem, trials)
    return {
        "hypervolume_share": searches.share(found, front, point),
        "best": float(accuracy[best]),
        "gain_points": 100 * float(accuracy[best] - (baseline.accuracy or 0.0)),
        "behind_reference_points": 100 * float(-front[:, 0].min() - accuracy[best]),
        "best_latency_ms": float(trials.metrics["latency_ms"][best]),
        "evaluation_seconds": trials.seconds,
    }


def reference_result(setup: Setup, case: Case, front: Floats) -> dict[str, Any]:
    """Return how far the baseline is from the reference front."""
    baseline = known_solution(setup, case.baseline)
    accuracy, ms = -front[:, 0], front[:, 1]
    return {
        "points": len(front),
        "gain_at_equal_latency_points": 100
        * float(accuracy[ms <= baseline.latency.ms].max() - (baseline.accuracy or 0.0)),
    }


def choices(setup: Setup, case: Case, runs: Sequence[Trials]) -> dict[str, str]:
    """Return, choice by choice, the baseline's pick and those of the best of every seed."""
    base = known_solution(setup, case.baseline).picks or {}
    found = [setup.space.unpack(trials.picks[best_of(setup, trials)]) for trials in runs]
    result = {}
    for name in setup.space.choices:
        counts = Counter(str(picks.get(name, "-")) for picks in found).most_common()
        texts = ", ".join(f"{value} ({count})" for value, count in counts)
        result[name] = f"{base.get(name, '-')} -> {texts}"
    return result


@dataclass(frozen=True, kw_only=True)
class Guided:
    """What searches with a guide of one half of the rows found, and the models of the other half.

    `best` holds, for each share of the budget, the row that every seed's search found.
    """

    models: Mapping[str, Predict]
    best: Mapping[str, Matrix]
    saved: Sequence[float]


def judged(setup: Setup, case: Case, rows: Rows, given: Judging, say: Say) -> list[dict[str, Any]]:
    """Search with guides fitted on halves of the rows; let models of the other halves judge.

    Returns, for each share of the budget, half and model, the gains over the baseline: their mean
    and range over the seeds, in points.
    """
    base = setup.space.pack(known_solution(setup, case.baseline).picks or {})[None]
    found = []
    for number in range(given.halves):
        guided = searched(
            setup, case, halves(rows, seed=number // 2)[:: 1 - 2 * (number % 2)], given
        )
        for budget, best in guided.best.items():
            for name, model in guided.models.items():
                gains = 100 * (model(best) - model(base))
                verdict = {"budget": budget, "half": number, "model": name}
                if budget == AS_GOOD:
                    verdict["time_saved"] = float(np.mean(guided.saved))
                found.append(
                    {
                        **verdict,
                        "mean": float(gains.mean()),
                        "range": [*map(float, (gains.min(), gains.max()))],
                    }
                )
        say(f"half {number + 1} of {given.halves} judged\n{show_judged(found)}")
    return found


def searched(setup: Setup, case: Case, split: Sequence[Rows], given: Judging) -> Guided:
    """Return what searches find that a model of the first half guides, and models of the second."""
    guide_rows, judge_rows = split
    plan = replace(PLANS[case.space], labels=given.labels)
    model, _ = fit_model(plan, guide_rows, 0)
    guide = replace(model, scale=SCALES[case.space])
    problem = with_judge(setup, guide)
    known = known_solution(setup, case.baseline)
    base = guide.predict_matrix(setup.space.pack(known.picks or {})[None])
    budgets = {f"{100 * part:.0f} %": part * case.limit_ms for part in SHARES}
    best: dict[str, list[Matrix]] = {name: [] for name in (*budgets, AS_GOOD)}
    saved = []
    for seed in range(given.seeds):
        trials = _search(problem, seed)
        ms, accuracy = trials.metrics["latency_ms"], trials.metrics[setup.accuracy]
        for name, most in budgets.items():
            row = int(np.argmax(np.where(trials.ok & (ms <= most), accuracy, -np.inf)))
            best[name].append(trials.picks[row])
        margin = np.hypot(guide.predict_matrix(trials.picks).deviation, base.deviation[0])
        as_good = trials.ok & (accuracy - base.accuracy[0] >= margin)
        row = int(np.argmin(np.where(as_good, ms, np.inf)))
        best[AS_GOOD].append(trials.picks[row])
        saved.append(1 - float(ms[row]) / known.latency.ms)
    models: dict[str, Predict] = {"guide": guide.accuracy, **fit_judges(judge_rows)}
    return Guided(models=models, best={k: np.stack(v) for k, v in best.items()}, saved=saved)


def with_judge(setup: Setup, model: Any) -> Problem:
    """Return the problem with another accuracy model."""
    free = setup.problem.free
    return replace(setup.problem, evaluators=(*free, Surrogate(model)))


def show_judged(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return the verdicts as Markdown: for each budget the range of all halves' means."""
    models = list(dict.fromkeys(one["model"] for one in verdicts))
    lines = [f"| budget | {' | '.join(models)} |", "|---" * (len(models) + 1) + "|"]
    for budget in dict.fromkeys(one["budget"] for one in verdicts):
        rows = [one for one in verdicts if one["budget"] == budget]
        cells = []
        for model in models:
            means = [one["mean"] for one in rows if one["model"] == model]
            cells.append(f"{min(means):+.2f} to {max(means):+.2f}")
        saved = [one["time_saved"] for one in rows if "time_saved" in one]
        text = f" ({100 * min(saved):.0f} to {100 * max(saved):.0f} % less time)" if saved else ""
        lines.append(f"| {budget}{text} | {' | '.join(cells)} |")
    return "\n".join(lines)


def show(result: Mapping[str, Any], case: Case) -> str:
    """Return the figures of the searches as Markdown, and the verdicts."""
    seeds, front = result["seeds"], result["reference"]
    gains = [one["gain_points"] for one in seeds]
    behind = [one["behind_reference_points"] for one in seeds]
    shares = [one["hypervolume_share"] for one in seeds]
    reached = sum(points < REACHED for points in behind)
    rows = [
        ("budget", f"{result['budget_ms']:.1f} ms, predicted on `pixel1`"),
        (
            f"best found under the budget, {len(seeds)} seeds",
            f"{min(gains):+.2f} to {max(gains):+.2f} points against `{case.baseline}` by the model "
            "that guides",
        ),
        (
            "the best of the reference front",
            f"reached by {reached} of {len(seeds)} seeds, the others at most {max(behind):.3f} "
            "points behind",
        ),
        ("share of the reference's hypervolume", f"{min(shares):.4f} to {max(shares):.4f}"),
        (
            "reference front against it, by the model that guides",
            f"{front['gain_at_equal_latency_points']:+.2f} points at its latency",
        ),
    ]
    table = "\n".join(f"| {name} | {text} |" for name, text in rows)
    return f"| | |\n|---|---|\n{table}\n\n{show_judged(result['judged'])}"


def draw_judged(verdicts: Sequence[Mapping[str, Any]], path: Path, case: Case) -> None:
    """Draw the gains that each model gives to what the guides found, a dot for each half."""
    budgets = list(dict.fromkeys(one["budget"] for one in verdicts))
    models = list(dict.fromkeys(one["model"] for one in verdicts))
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.5, 1 + 0.6 * len(budgets)), layout="constrained")
        axes = figure.add_subplot()
        for number, model in enumerate(models):
            found = [one for one in verdicts if one["model"] == model]
            heights = [-budgets.index(one["budget"]) - 0.12 * number for one in found]
            axes.plot([one["mean"] for one in found], heights, "osD"[number % 3], alpha=0.6,
                      color=RED if model == "guide" else BLUE, label=model)  # fmt: skip
        axes.set_yticks([-i - 0.12 for i in range(len(budgets))], budgets)
        axes.axvline(0, color="#999999", linewidth=0.8)
        axes.set_xlabel(f"gain over {case.baseline} (points), a dot for each half of the rows")
        axes.grid(axis="x", alpha=0.25)
        axes.legend(fontsize=8)
        save(figure, path)
