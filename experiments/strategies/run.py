"""Compare all strategies by the share of a reference front's hypervolume they reach.

python -m experiments.strategies.run [--space mnasnet_b0] [--no-limit] [--zoo] [--seeds 10]
    [--only archive --reference front.npy --most 1000]

Writes SPACE.yaml and SPACE.png (SPACE_no_limit without the limit, SPACE_zoo where searches begin
with the known networks of the space, as those of `nas search` do) to this folder, after every
strategy. The reference front is kept in the file of --reference; a later run with it and --only
replaces the results of those strategies and keeps the others.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib import colormaps
from matplotlib.figure import Figure

from experiments.shared import searches
from experiments.shared.results import circumstances, save
from nas.accuracy.predictor import Floats
from nas.core.files import write_text
from nas.searching.evaluators import published, surrogate
from nas.searching.problem import Problem, Strategy, Trials
from nas.searching.warm_start import ZOO, Seeded, seed_rows
from nas.space.file import load_space
from nas.space.space import Matrix

MARKS = (100, 300, 1_000, 3_000, 10_000)
FAST = ("random", "grid", "local", "evolution", "reinforce", "archive")
CAPS = {"guided": 3_000, "cmaes": 3_000, "nsga2": 3_000, "nsga3": 3_000, "tpe": 1_000, "gp": 100}
"""The most evaluations of strategies whose own cost makes more of no use."""
SLOW_SEEDS = {"guided": 10, "gp": 1}
BUDGET_MS = {"mbconv": None, "mnasnet_b0": None, "mobilenetv3": 51.0}
"""None is the predicted latency of EfficientNet-B0."""
PACKAGES = ("numpy", "optuna", "scikit-learn")
REFERENCE_RUNS, REFERENCE_EACH = 8, 150_000
KINDS = ("archive:siblings=4", "archive", "archive:siblings=12,batch=250")


class Timed:
    """Counts the processor time of a strategy."""

    def __init__(self, inner: Strategy) -> None:
        """Wrap `inner`."""
        self.inner, self.batch, self.seconds = inner, inner.batch, 0.0

    def ask(self, count: int) -> Matrix:
        """Ask, timed."""
        started = time.process_time()
        rows = self.inner.ask(count)
        self.seconds += time.process_time() - started
        return rows

    def tell(self, trials: Trials) -> None:
        """Tell, timed."""
        started = time.process_time()
        self.inner.tell(trials)
        self.seconds += time.process_time() - started


def problem_of(name: str, limited: bool) -> Problem:
    space = load_space(name)
    limit_ms = (BUDGET_MS[name] or searches.b0_ms()) if limited else None
    evaluator = published if name == "mbconv" else surrogate
    return searches.problem_on_pixel1(space, evaluator.create(space), limit_ms)


def search(
    problem: Problem, name: str, trials: int, seed: int, *, seeds: Sequence[str] = ()
) -> tuple[Trials, float]:
    """Return the trials in order, and the strategy's seconds per candidate.

    The architectures named by `seeds` come first.
    """
    timed = Timed(searches.strategy(problem, name, seed))
    done = searches.run(problem, Seeded(timed, seed_rows(problem, seeds)), trials)
    return done, timed.seconds / max(1, len(done))


def reference(problem: Problem, each: int) -> Floats:
    """Return the merged front of long archive searches of three kinds, `each` so long."""
    front = np.zeros((0, 2))
    fronts = searches.reference_fronts(problem, KINDS, searches=REFERENCE_RUNS, each=each)
    for number, front in enumerate(fronts, start=1):
        print(f"reference {number}: best {-front[:, 0].min():.5f}, {len(front)} points", flush=True)
    return front


def kept_reference(problem: Problem, each: int, path: Path | None) -> Floats:
    """Return the reference in `path`, which is found and written if it is missing."""
    if path and path.exists():
        found: Floats = np.load(path)
        return found
    front = reference(problem, each)
    if path:
        np.save(path, front)
    return front


def measure(
    problem: Problem, name: str, front: Floats, *, seeds: int, most: int, first: Sequence[str]
) -> dict[str, Any]:
    """Return the shares of one strategy at the marks up to `most`, and what it costs."""
    marks = [mark for mark in MARKS if mark <= min(most, CAPS.get(name, most))]
    found = [search(problem, name, marks[-1], seed, seeds=first) for seed in range(seeds)]
    runs = [(searches.scores(problem, trials), seconds) for trials, seconds in found]
    shares: dict[str, Any] = {}
    for label, point in searches.reference_points(problem, front).items():
        values = {m: [searches.share(s[:m], front, point) for s, _ in runs] for m in marks}
        shares[label] = {
            m: {"mean": round(float(np.mean(v)), 4), "worst": round(min(v), 4)}
            for m, v in values.items()
        }
    short = [np.nanmin(s[:, 0]) - front[:, 0].min() for s, _ in runs]
    return {
        "seeds": seeds,
        "shares": shares,
        "accuracy_short_of_best": {
            "mean": round(float(np.mean(short)), 6),
            "worst": round(float(max(short)), 6),
        },
        "own_ms": round(1e3 * float(np.mean([cost for _, cost in runs])), 4),
    }


def show(results: Mapping[str, Any]) -> str:
    """Return the table of the usual reference point, in Markdown."""
    lines = ["| strategy | seeds | " + " | ".join(f"{m:,}" for m in MARKS) + " | own cost |"]
    lines.append("|---" * (len(MARKS) + 3) + "|")
    for name, result in results.items():
        usual = result["shares"]["usual"]
        cells = [
            f"{usual[m]['mean']:.3f} ({usual[m]['worst']:.3f})" if m in usual else "" for m in MARKS
        ]
        lines.append(
            f"| {name} | {result['seeds']} | "
            + " | ".join(cells)
            + f" | {result['own_ms']:.3f} ms |"
        )
    return "\n".join(lines)


def draw(results: Mapping[str, Any], path: Path, title: str) -> None:
    """Write the picture of the shares over the evaluations."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colour = colormaps["tab20"]
    for number, (name, result) in enumerate(results.items()):
        usual = result["shares"]["usual"]
        means = [v["mean"] for v in usual.values()]
        style = "--" if name in CAPS else "-"
        axes.plot(list(usual), means, style, marker="o", label=name, color=colour(number))
    axes.set(xscale="log", xlabel="evaluations", ylabel="share of the hypervolume", title=title)
    figure.legend(loc="outside right center", fontsize="small")
    save(figure, path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="mnasnet_b0", choices=sorted(BUDGET_MS))
    parser.add_argument("--no-limit", action="store_true")
    parser.add_argument("--zoo", action="store_true", help="begin with the known networks")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slow-seeds", type=int, default=2)
    parser.add_argument("--only", action="append", help="a strategy; may be repeated")
    parser.add_argument("--reference-each", type=int, default=REFERENCE_EACH)
    parser.add_argument("--reference", type=Path, help="a file that keeps the front, FILE.npy")
    parser.add_argument("--most", type=int, default=MARKS[-1], help="evaluations of a search")
    given = parser.parse_args()
    started, problem = time.perf_counter(), problem_of(given.space, not given.no_limit)
    label = given.space + ("_no_limit" if given.no_limit else "") + ("_zoo" if given.zoo else "")
    results = earlier(label) if given.reference and given.reference.exists() else {}
    front = kept_reference(problem, given.reference_each, given.reference)
    for name in given.only or (*FAST, *CAPS):
        slow = min(given.seeds, SLOW_SEEDS.get(name, given.slow_seeds))
        seeds = given.seeds if name in FAST else slow
        results[name] = measure(
            problem, name, front, seeds=seeds, most=given.most, first=[ZOO] * given.zoo
        )
        print(name, results[name], flush=True)
        content = {
            "schema": 1,
            "space": given.space,
            "limits": [str(limit) for limit in problem.limits],
            "reference": {
                "evaluations": REFERENCE_RUNS * given.reference_each, "points": len(front)
            },
            "strategies": results,
            **circumstances(PACKAGES, time.perf_counter() - started),
        }  # fmt: skip
        write(content, label)
    print(show(results))


def earlier(label: str) -> dict[str, Any]:
    """Return earlier results, by strategy."""
    path = Path(__file__).resolve().with_name(f"{label}.yaml")
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return dict(found.get("strategies", {}))


def write(content: Mapping[str, Any], label: str) -> None:
    """Write the results so far, and their picture."""
    folder = Path(__file__).resolve().parent
    write_text(folder / f"{label}.yaml", yaml.safe_dump(content, sort_keys=False))
    title = f"{content['space']}, {' '.join(content['limits']) or 'no limit'}"
    draw(content["strategies"], folder / f"{label}.png", title)


if __name__ == "__main__":
    main()
