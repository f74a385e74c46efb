"""Compare searches with and without screening at equal numbers of evaluations.

python -m experiments.screening.run [--seeds 5] [--screen 8 --screen 32] [--only evolution]
python -m experiments.screening.run --read

Writes result.yaml beside itself. `--read` searches nothing and prints result.yaml.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from experiments.shared import intervals, searches
from experiments.shared.results import circumstances
from nas.accuracy.predictor import Floats
from nas.searching.evaluators import surrogate
from nas.searching.pareto import hypervolume
from nas.searching.problem import Problem
from nas.searching.screening import Screened
from nas.space.file import load_space

MARKS = (50, 100, 200, 400)
STRATEGIES = ("random", "evolution", "guided", "tpe")
MOST = {"tpe": (200, 8)}
"""The most evaluations, and candidates for one evaluation: every ask costs TPE some 0.03
seconds."""
TRAINING_SECONDS = 60.0
"""The seconds claimed by the model that stands in for training, so that only trials call it."""


def problem_of() -> Problem:
    space = load_space("mnasnet_b0")
    evaluator = replace(surrogate.create(space), seconds=TRAINING_SECONDS)
    return searches.problem_on_pixel1(space, evaluator, searches.b0_ms())


def reference_point(problem: Problem) -> Floats:
    """Return the accuracy that 95 % of architectures within the limit exceed, and the limit."""
    drawn = searches.random_scores(problem)
    return np.array([np.percentile(drawn[:, 0], 95), problem.limits[0].value])


def search(problem: Problem, name: str, screen: int, trials: int, seed: int) -> Floats:
    """Return the scores of one search in order, NaN where a constraint is violated."""
    made = searches.strategy(problem, name, seed)
    if screen:
        made = Screened(made, problem, times=screen, seed=seed)
    return searches.scores(problem, searches.run(problem, made, trials))


def measure(problem: Problem, name: str, screen: int, seeds: int) -> dict[str, Any]:
    """Return the hypervolumes of one search at all marks, and its cost without evaluations."""
    most, _ = MOST.get(name, (MARKS[-1], 0))
    marks, point = [mark for mark in MARKS if mark <= most], reference_point(problem)
    started = time.process_time()
    runs = [search(problem, name, screen, most, seed) for seed in range(seeds)]
    seconds = time.process_time() - started
    volumes = {m: [hypervolume(found[:m], point) for found in runs] for m in marks}
    return {
        "hypervolume": {
            m: {"mean": round(float(np.mean(v)), 4), "each": [round(x, 4) for x in v]}
            for m, v in volumes.items()
        },
        "own_ms": round(1e3 * seconds / seeds / most, 1),
    }


def show(results: Mapping[str, Mapping[int, Any]]) -> str:
    """Return the table in Markdown, with the number of seeds that gained for screened searches."""
    lines = ["| strategy | screen | " + " | ".join(map(str, MARKS)) + " | own cost, ms |"]
    lines.append("|---" * (len(MARKS) + 3) + "|")
    for name, by_screen in results.items():
        for screen, found in by_screen.items():
            plain = by_screen[0]["hypervolume"]
            cells = [_cell(found["hypervolume"], plain, m, screen) for m in MARKS]
            lines.append(f"| {name} | {screen} | {' | '.join(cells)} | {found['own_ms']} |")
    return "\n".join(lines)


def _cell(found: Mapping[int, Any], plain: Mapping[int, Any], mark: int, screen: int) -> str:
    if mark not in found:
        return ""
    pairs = list(zip(found[mark]["each"], plain[mark]["each"], strict=True))
    gained = f" ({sum(a > b for a, b in pairs)} of {len(pairs)})" if screen else ""
    return f"{found[mark]['mean']:.3f}{gained}"


def detectable(results: Mapping[str, Mapping[int, Any]]) -> str:
    """Return the gains of every screened search that its seeds detect with a power of 80 %."""
    lines = []
    for name, by_screen in results.items():
        for screen in filter(None, by_screen):
            cells = []
            for mark, plain in by_screen[0]["hypervolume"].items():
                screened = by_screen[screen]["hypervolume"][mark]["each"]
                gaps = [a - b for a, b in zip(screened, plain["each"], strict=True)]
                cells.append(f"{100 * intervals.detectable(gaps) / plain['mean']:.1f} after {mark}")
            lines.append(f"{name}, screen {screen}: {', '.join(cells)}")
    return "detectable, % of the hypervolume without screening:\n" + "\n".join(lines)


def compare(problem: Problem, names: Sequence[str], screens: Sequence[int], seeds: int) -> Any:
    results: dict[str, dict[int, Any]] = {}
    for name in names:
        allowed = [s for s in screens if s <= MOST.get(name, (0, max(screens)))[1]]
        results[name] = {s: measure(problem, name, s, seeds) for s in (0, *allowed)}
        print(show({name: results[name]}), flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--screen", type=int, action="append", help="[default: 8 and 32]")
    parser.add_argument("--only", action="append", help="a strategy; may be repeated")
    parser.add_argument("--read", action="store_true", help="print what result.yaml holds")
    given = parser.parse_args()
    path = Path(__file__).resolve().parent / "result.yaml"
    if given.read:
        results = yaml.safe_load(path.read_text())["strategies"]
        print(show(results), detectable(results), sep="\n")
        return
    started, problem = time.perf_counter(), problem_of()
    results = compare(problem, given.only or STRATEGIES, given.screen or (8, 32), given.seeds)
    print(show(results), detectable(results), sep="\n")
    content = {
        "schema": 1,
        "space": problem.space.name,
        "limits": [str(limit) for limit in problem.limits],
        "reference_point": [round(float(x), 6) for x in reference_point(problem)],
        "seeds": given.seeds,
        "strategies": results,
        **circumstances(("numpy", "optuna"), time.perf_counter() - started),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main()
