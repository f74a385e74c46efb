"""Write what run.py measured as a table, a picture and result.yaml.

python -m experiments.supernet.report
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from experiments.shared.folders import SHARED_DATA
from experiments.shared.results import BLUE, GREY, circumstances, save
from experiments.strategies.macro import FILE
from experiments.supernet.run import ALONE, RUNS, SCORES
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.run_folder import read_lines

HERE = Path(__file__).resolve().parent
Values = Mapping[str, float]
DRAWS, TAUGHT = 1000, 50
FEWEST = 12
"""Networks that a ranking by short trainings needs, at least."""
BEST, SCORED = 0.9, 500
"""Networks above this quantile of the published accuracies are the best decile."""


def published() -> Mapping[str, Mapping[str, Any]]:
    """Return the content of the published file."""
    text = (SHARED_DATA / "nas_bench_macro" / FILE).read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return found


def measured(name: str, key: str = "top1") -> Values:
    """Return the scores of networks by their names, empty if none were measured."""
    path = RUNS / f"{name}.jsonl"
    lines = read_lines(path) if path.is_file() else []
    return {str(line["name"]): float(line[key]) for line in lines if "name" in line}


def ranking(scores: Values, truth: Values) -> dict[str, Any]:
    """Return Kendall's tau of `scores` with the truth, its interval, and tau in the best decile.

    The 95 % interval is a bootstrap over networks.
    """
    names = sorted(scores)
    ours = np.array([scores[name] for name in names])
    theirs = np.array([truth[name] for name in names])
    best = theirs >= np.quantile(theirs, BEST)
    rng = np.random.default_rng(0)
    rows = (rng.integers(0, len(names), len(names)) for _ in range(DRAWS))
    low, high = np.quantile([_tau(ours[row], theirs[row]) for row in rows], (0.025, 0.975))
    return {
        "networks": len(names),
        "tau": round(_tau(ours, theirs), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "tau_best_decile": round(_tau(ours[best], theirs[best]), 3),
        "regret_points": round(100 * float(theirs.max() - theirs[ours.argmax()]), 2),
    }


def _tau(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(kendalltau(ours, theirs).statistic)


def ranks_added(one: Values, other: Values) -> Values:
    """Return the sums of the ranks of networks that both score."""
    names = sorted(one.keys() & other.keys())
    ours, theirs = (np.array([scores[n] for n in names]) for scores in (one, other))
    ranks = ours.argsort().argsort() + theirs.argsort().argsort()
    return {name: float(rank) for name, rank in zip(names, ranks, strict=True)}


def learned(content: Mapping[str, Mapping[str, Any]], asked: list[str]) -> Iterator[Values]:
    """Yield the predictions of linear models of one-hot picks for 20 draws of 50 networks."""
    names = sorted(content)
    place = {name: i for i, name in enumerate(names)}
    digits = np.array([[int(digit) for digit in name] for name in names])
    inputs = np.hstack([np.eye(3)[digits[:, i]] for i in range(8)])
    one = np.array([content[name]["test_acc"][0] for name in names])
    rest = np.setdiff1d(np.arange(len(names)), [place[name] for name in asked])
    for seed in range(20):
        rows = np.random.default_rng(seed).choice(rest, TAUGHT, replace=False)
        usual = one[rows].mean()
        squares = inputs[rows].T @ inputs[rows] + 0.5 * np.eye(inputs.shape[1])
        weights = np.linalg.solve(squares, inputs[rows].T @ (one[rows] - usual))
        predicted = inputs @ weights + usual
        yield {name: float(predicted[place[name]]) for name in asked}


def results() -> dict[str, Any]:
    """Return the rank correlations of all measurements."""
    content = published()
    truth = {name: one["mean_acc"] / 100 for name, one in content.items()}
    found = {name: measured(name) for name in _measured_supernets()}
    found |= {score: measured("zero_cost", score) for score in SCORES}
    found |= {ALONE: known} if len(known := measured(ALONE)) >= FEWEST else {}
    asked = sorted(next(iter(found.values())))
    found |= {key: {n: content[n][key] for n in asked} for key in ("flops", "params")}
    found |= {"full + naswot": ranks_added(found["full"], found["naswot"])}
    rows = {name: ranking(scores, truth) for name, scores in found.items() if scores}
    models = [ranking(scores, truth) for scores in learned(content, asked)]
    rows["learned from 50 trainings"] = {
        "networks": len(asked),
        **{
            key: round(float(np.mean([one[key] for one in models])), 3)
            for key in ("tau", "tau_best_decile", "regret_points")
        },
    }
    return rows


def _measured_supernets() -> list[str]:
    return [path.stem for path in sorted(RUNS.glob("*.jsonl")) if path.stem not in _OTHERS]


_OTHERS = ("trainings", "zero_cost", ALONE)


def costs() -> dict[str, Any]:
    """Return the processor seconds of each training, and of scoring a network."""
    trained = read_lines(RUNS / "trainings.jsonl")
    by_name = {line["variant"]: dict(line) for line in trained if "variant" in line}
    for name in _measured_supernets():
        seconds = list(measured(name, "seconds").values())
        by_name.setdefault(name, {})["seconds_a_network"] = round(float(np.median(seconds)), 2)
    if one := list(measured(ALONE, "seconds").values()):
        whole = by_name["full"]["seconds"] + by_name["full"]["seconds_a_network"] * SCORED
        each, epochs = float(np.median(one)), next(iter(measured(ALONE, "epochs").values()))
        by_name[ALONE] = {
            "epochs": int(epochs),
            "networks": len(one),
            "seconds_a_network": round(each, 1),
            "networks_at_the_cost_of_the_supernet": round(whole / each),
        }
    if scored := list(measured("zero_cost", "seconds").values()):
        by_name["zero_cost"] = {"seconds_a_network": round(float(np.median(scored)), 2)}
    return by_name


def draw(path: Path) -> None:
    """Draw the accuracies with shared weights over the published ones."""
    content, shared = published(), measured("full")
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    truth = [content[name]["mean_acc"] for name in shared]
    ours = [100 * top1 for top1 in shared.values()]
    macs = [content[name]["flops"] / 1e6 for name in shared]
    points = axes.scatter(truth, ours, c=macs, s=12, cmap="viridis")
    figure.colorbar(points, label="multiply-adds (M)")
    axes.axvline(np.quantile(truth, BEST), color=GREY, linewidth=0.8, linestyle="--")
    axes.set_xlabel(
        "accuracy of its own training (%), mean of three; right of the line the best decile"
    )
    axes.set_ylabel("accuracy with shared weights (%)", color=BLUE)
    save(figure, path)


def main() -> None:
    """Write the results beside this file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows, spent = results(), costs()
    content = {"schema": 1, "rankings": rows, "costs": spent, **circumstances(("numpy", "torch"))}
    write_text(HERE / "result.yaml", to_yaml(content))
    draw(HERE / "ranking.png")
    print("| ranked by | networks | tau (95 %) | best decile | regret |\n|---|---|---|---|---|")
    for name, row in sorted(rows.items(), key=lambda one: -one[1]["tau"]):
        low, high = row.get("interval", ("", ""))
        between = f" ({low} - {high})" if row.get("interval") else ""
        print(
            f"| {name} | {row['networks']} | {row['tau']}{between} | {row['tau_best_decile']} | "
            f"{row['regret_points']} |"
        )


if __name__ == "__main__":
    main()
