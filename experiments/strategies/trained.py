"""Compare all strategies on networks that were all trained: NAS-Bench-Macro.

python -m experiments.strategies.trained [--seeds 20] [--only guided] [--data FOLDER]

Writes trained.yaml and trained.png to this folder; with --only, the other strategies are kept.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.shared import searches
from experiments.shared.folders import SHARED_DATA
from experiments.shared.results import circumstances, save
from experiments.strategies import macro
from experiments.strategies.macro import Trained
from experiments.strategies.run import search
from nas.accuracy.predictor import Floats
from nas.searching.pareto import non_dominated
from nas.searching.problem import Problem, Trials

MARKS = (50, 100, 200, 500)
STRATEGIES = (
    "random", "grid", "local", "evolution", "archive", "reinforce", "guided",
    "nsga2", "nsga3", "cmaes", "tpe", "gp",
)  # fmt: skip
CAPS, FEW_SEEDS = {"gp": 50}, {"gp": 5}
"""The most evaluations of strategies whose own cost makes more of no use."""
PACKAGES = ("numpy", "optuna", "cmaes", "torch")
PERCENTILES = (10, 90)
SHOWN = {"share": "share of the hypervolume", "regret": "regret in points of accuracy"}
QUALITIES = tuple(SHOWN)


def qualities(trained: Trained, problem: Problem, trials: Trials, cost: str) -> tuple[float, float]:
    """Return share and regret of what a search would report, by the mean of all trainings.

    It reports the front by the one training that it saw, and its most accurate network.
    """
    everything = trained.scores(trained.rows, cost)
    point = np.array([np.percentile(everything[:, 0], 95), everything[:, 1].max()])
    seen = problem.scores(trials.metrics)
    found = trained.scores(trials.picks, cost)
    regret = found[seen[:, 0].argmin(), 0] - everything[:, 0].min()
    return searches.share(found[non_dominated(seen)], everything, point), 100 * float(regret)


def measure(trained: Trained, name: str, cost: str, seeds: int) -> dict[str, Any]:
    """Return share and regret of one strategy at all marks, and its cost."""
    marks = [mark for mark in MARKS if mark <= CAPS.get(name, MARKS[-1])]
    values, own = np.empty((seeds, len(marks), len(QUALITIES))), []
    for seed in range(seeds):
        problem = macro.problem_of(trained, cost, seed % trained.top1.shape[1])
        trials, seconds = search(problem, name, marks[-1], seed)
        values[seed] = [qualities(trained, problem, _first(trials, m), cost) for m in marks]
        own.append(seconds)
    found = {
        quality: {mark: _summary(values[:, i, q]) for i, mark in enumerate(marks)}
        for q, quality in enumerate(QUALITIES)
    }
    return {**found, "own_ms": round(1e3 * float(np.mean(own)), 3)}


def _first(trials: Trials, count: int) -> Trials:
    metrics = {name: values[:count] for name, values in trials.metrics.items()}
    return Trials(
        first=0, picks=trials.picks[:count], metrics=metrics, status=trials.status[:count]
    )


def _summary(values: Floats) -> dict[str, Any]:
    low, high = np.percentile(values, PERCENTILES)
    return {
        "mean": round(float(values.mean()), 4),
        "p10": round(float(low), 4),
        "p90": round(float(high), 4),
        "all": [round(float(value), 4) for value in values],
    }


def limits(trained: Trained, cost: str) -> dict[str, Any]:
    """Return share and regret of a search that sees one training of every network."""
    found = []
    for number in range(trained.top1.shape[1]):
        problem = macro.problem_of(trained, cost, number)
        metrics = {"top1": trained.top1[:, number], cost: trained.costs[cost]}
        status = np.full(len(trained.rows), "ok")
        trials = Trials(first=0, picks=trained.rows, metrics=metrics, status=status)
        found.append(qualities(trained, problem, trials, cost))
    means = np.mean(found, axis=0)
    return {q: round(float(value), 4) for q, value in zip(QUALITIES, means, strict=True)}


def show(results: Mapping[str, Any], cost: str, quality: str) -> str:
    """Return a table in Markdown."""
    lines = [f"| {quality}, {cost} | " + " | ".join(map(str, MARKS)) + " |"]
    lines.append("|---" * (len(MARKS) + 1) + "|")
    for name, result in results.items():
        found = result[cost][quality]
        cells = [
            f"{found[m]['mean']:.3f} ({found[m]['p10']:.3f}-{found[m]['p90']:.3f})"
            if m in found
            else ""
            for m in MARKS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the picture: means, and bars from the 10th to the 90th percentile of the seeds."""
    figure = Figure(figsize=(13, 9), layout="constrained")
    panels = figure.subplots(len(QUALITIES), len(macro.COSTS), sharex=True, sharey="row")
    for line, quality in zip(panels, QUALITIES, strict=True):
        for axes, cost in zip(line, macro.COSTS, strict=True):
            _panel(axes, results, cost, quality)
    panels[0, 0].legend(fontsize="small", ncols=2)
    save(figure, path, dpi=110)


def _panel(axes: Axes, results: Mapping[str, Any], cost: str, quality: str) -> None:
    colour = colormaps["tab20"]
    for number, (name, result) in enumerate(results.items()):
        found = result[cost][quality]
        places = [MARKS.index(m) + 0.06 * (number - len(results) / 2) for m in found]
        means = np.array([v["mean"] for v in found.values()])
        below = means - [v["p10"] for v in found.values()]
        above = [v["p90"] for v in found.values()] - means
        bars = np.maximum([below, above], 0)
        axes.errorbar(places, means, bars, fmt="o-", ms=4, lw=0.8, label=name, color=colour(number))
    axes.set(title=f"accuracy against {cost}", ylabel=SHOWN[quality], xlabel="evaluations")
    axes.set_xticks(range(len(MARKS)), list(map(str, MARKS)))
    if quality == "share":
        axes.set_ylim(bottom=0.7)
    else:
        axes.set_ylim(bottom=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "nas_bench_macro")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", action="append", help="a strategy; may be repeated")
    parser.add_argument("--read", action="store_true", help="Search nothing, draw again.")
    parser.add_argument("--to", type=Path, default=Path(__file__).resolve().parent)
    given = parser.parse_args()
    trained, path = macro.load(given.data), given.to / "trained.yaml"
    known = yaml.safe_load(path.read_text())["strategies"] if path.is_file() else {}
    for name in () if given.read else given.only or STRATEGIES:
        started, seeds = time.perf_counter(), min(given.seeds, FEW_SEEDS.get(name, given.seeds))
        found = {cost: measure(trained, name, cost, seeds) for cost in macro.COSTS}
        made = circumstances(PACKAGES, time.perf_counter() - started)
        known[name] = {"seeds": seeds, **found, **made}
        print(name, found, flush=True)
    order = {**dict.fromkeys(STRATEGIES), **known}
    results = {name: known[name] for name in order if name in known}
    content = {
        "schema": 1,
        "networks": len(trained.rows),
        "all_networks": {cost: limits(trained, cost) for cost in macro.COSTS},
        "strategies": results,
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None))
    for quality in QUALITIES:
        for cost in macro.COSTS:
            print(show(results, cost, quality))
    draw(results, given.to / "trained.png")


if __name__ == "__main__":
    main()
