"""Write what run.py measured as a table, a picture and result.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from scipy.stats import bootstrap, kendalltau, norm, spearmanr

from experiments.proxies.run import LEARNED_FROM
from experiments.shared.results import BLUE, RED, circumstances, save
from nas import load_space
from nas.accuracy.examples import Examples
from nas.accuracy.learn import fit_accuracy
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.report._drawing import label, place

HERE = Path(__file__).resolve().parent
LEARNED = "learned from 48 networks"
COLOURS = {"cifar10_part": BLUE, "fashion_mnist": RED}

Values = Mapping[str, Mapping[int, float]]
Costs = Mapping[str, float]
Measured = tuple[Values, Costs, Costs]
"""Values by proxy and network; seconds of every proxy for a network, and once for all."""


def write(measured: Mapping[str, Measured], picks: np.ndarray) -> None:
    """Write result.yaml and correlation.png, and print a table."""
    results = {
        name: _ranked(values, seconds, once, picks)
        for name, (values, seconds, once) in measured.items()
    }
    content = {"schema": 1, "results": results, **circumstances(("numpy", "torch"))}
    write_text(HERE / "result.yaml", to_yaml(content))
    _draw(results, HERE / "correlation.png")
    print(_table(results))


def _ranked(values: Values, seconds: Costs, once: Costs, picks: np.ndarray) -> dict[str, Any]:
    """Return, for every proxy, its rank correlation with the full trainings, and its cost."""
    finals = [name for name in values if name.startswith("final")]
    networks = sorted(values[finals[0]])
    both = [i for i in networks if all(i in values[f] for f in finals)]
    truth = np.array([np.mean([values[f][i] for f in finals if i in values[f]]) for i in networks])
    whole = seconds[finals[0]]

    def row(name: str, scores: np.ndarray, cost: float) -> dict[str, Any]:
        shared = once.get(name.split()[0], 0.0) / whole
        return _row(scores, truth, cost / whole) | {"cost_once": round(shared, 2)}

    rows = {
        name: row(name, np.array([values[name][i] for i in networks]), seconds[name])
        for name in values
        if name not in finals
    }
    taught = sorted(set(values[LEARNED_FROM]) - set(networks))
    predicted = _learned(
        picks, np.array(taught), np.array([values[LEARNED_FROM][i] for i in taught])
    )
    rows[LEARNED] = row(LEARNED, predicted[networks], 0.0)
    rows[LEARNED]["cost_once"] = round(len(taught) * seconds[LEARNED_FROM] / whole, 2)
    one, other = (np.array([values[f][i] for i in both]) for f in (finals * 2)[:2])
    for name in values:
        if name.startswith(("trained", "inherited")):
            rows[name]["mean_top1"] = float(np.mean([values[name][i] for i in networks]))
    return {
        "networks": len(networks),
        "detectable_tau": round(detectable(len(networks)), 3),
        "final": {
            "lowest": float(truth.min()),
            "median": float(np.median(truth)),
            "highest": float(truth.max()),
            "seconds": round(whole, 1),
            "seeds": len(finals),
            "deviation_of_networks": float(truth.std(ddof=1)),
            "deviation_of_seeds": float(np.sqrt(np.mean((one - other) ** 2) / 2)),
            "networks_with_two_seeds": len(both) if len(finals) > 1 else 0,
            "tau_of_two_seeds": _tau_b(one, other) if len(finals) > 1 else None,
        },
        "proxies": rows,
    }


def detectable(networks: int) -> float:
    """Return the Kendall tau-b that is detected with a power of 80 % at a level of 5 %.

    It uses the normal approximation of the distribution without correlation.
    """
    deviation = np.sqrt(2 * (2 * networks + 5) / (9 * networks * (networks - 1)))
    return float((norm.ppf(0.975) + norm.ppf(0.8)) * deviation)


def _learned(picks: np.ndarray, taught: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return the accuracies of all networks by a model fitted to those in `taught`."""
    examples = Examples(
        space=load_space(HERE / "small.yaml"),
        picks=picks[taught],
        accuracy=accuracy,
        metric="top1_proxy",
        source="experiments/proxies",
    )
    return fit_accuracy(examples).model.accuracy(picks)


def _row(scores: np.ndarray, truth: np.ndarray, cost: float) -> dict[str, Any]:
    low, high = _interval(scores, truth)
    return {
        "tau": _tau_b(scores, truth),
        "tau_interval": [low, high],
        "spearman": float(spearmanr(scores, truth).statistic),
        "cost": float(cost),
    }


def _tau_b(one: np.ndarray, other: np.ndarray) -> float:
    return float(kendalltau(one, other).statistic)


def _interval(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of tau-b over networks."""
    found = bootstrap(
        (scores, truth),
        lambda a, b: kendalltau(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=0,
    ).confidence_interval
    return float(found.low), float(found.high)


def _table(results: Mapping[str, Any]) -> str:
    names = list(next(iter(results.values()))["proxies"])
    order = sorted(
        names, key=lambda n: -np.mean([r["proxies"][n]["tau"] for r in results.values()])
    )
    lines = [
        "| proxy | " + " | ".join(f"{d}: tau (95 %) | cost | once" for d in results) + " |",
        "|---|" + "---|---|---|" * len(results),
    ]
    for name in order:
        cells = []
        for result in results.values():
            row = result["proxies"][name]
            low, high = row["tau_interval"]
            cells += [
                f"{row['tau']:.2f} ({low:.2f} - {high:.2f})",
                f"{100 * row['cost']:.2g} %",
                f"{row['cost_once']:.1f}" if row["cost_once"] else "",
            ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    seen = ", ".join(f"{name} {result['detectable_tau']:.2f}" for name, result in results.items())
    return "\n".join(lines) + f"\ndetectable with a power of 80 %: a tau of {seen}\n"


def _draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw tau over cost, a mark for each proxy."""
    figure = Figure(figsize=(9, 4.2 * len(results)), layout="constrained")
    placed: list[tuple[list[Annotation], np.ndarray, Axes]] = []
    for axes, (name, result) in zip(figure.subplots(len(results), 1), results.items(), strict=True):
        axes.axhline(0, color="#bbbbbb", linewidth=0.8)
        labels: list[Annotation] = []
        points: list[tuple[float, float]] = []
        for proxy, row in sorted(result["proxies"].items(), key=lambda item: item[1]["tau"]):
            low, high = row["tau_interval"]
            spread = [[row["tau"] - low], [high - row["tau"]]]
            cost = 100 * (row["cost"] + row["cost_once"] / result["networks"])
            axes.errorbar(cost, row["tau"], spread, fmt="o", color=COLOURS[name],
                          elinewidth=0.6, markersize=4)  # fmt: skip
            points.append((cost, row["tau"]))
            labels.append(label(axes, proxy, points[-1], color="black"))
        axes.margins(x=0.15)
        axes.set(xscale="log", title=f"{name}: {result['networks']} networks",
                 xlabel="cost for a network, of all 24, % of a full training",
                 ylabel="Kendall tau with the full training")  # fmt: skip
        placed.append((labels, np.array(points), axes))
    for texts, marks, axes in placed:  # when all axes have their limits
        place(texts, figure, marks, axes=axes)
    save(figure, path, dpi=110)
