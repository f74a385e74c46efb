"""Do short trainings rank networks better from inherited weights than from random ones?

python -m experiments.inheritance.run [--cifar ZIP] [--networks 12] [--epochs 20] [--short 2 4]

Trains a base, then every network in full and for a few epochs, from random weights and from those
inherited from the base. Appends to runs/inheritance/NAME.jsonl, resumes an interrupted run, and
writes result.yaml and ranks.png to this folder.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from experiments.shared.folders import ROOT
from experiments.shared.results import BLUE, GREY, circumstances, save
from experiments.training.run import CIFAR, cifar
from nas import load_space
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.jsonl import Lines
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.training.data import Data
from nas.training.inherited import inherit_weights
from nas.training.job import Options
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_to_data, plan, run_training

HERE = Path(__file__).resolve().parent
RUNS = ROOT / "runs" / "inheritance"
SPACE = HERE.parent / "proxies" / "small.yaml"
Values = Mapping[str, Mapping[int, float]]


class Bench:
    """Trains networks of the space, and stores the results."""

    def __init__(self, lines: Lines, data: Data, asked: argparse.Namespace) -> None:
        """Train on `data`, for the epochs in `asked`."""
        self.lines, self.data, self.asked = lines, data, asked
        self.known = {(r["network"], r["way"]): r["top1"] for r in lines.records}
        self.base: Checkpoint | None = None

    def train_base(self, arch: Architecture) -> float:
        """Train the network that others inherit from, in a folder, and return its accuracy."""
        out = RUNS / "base"
        run_training(self._job(arch, self.asked.base_epochs), out)
        self.base = load_checkpoint(str(out))
        assert self.base.top1 is not None  # it was trained
        return self.base.top1

    def top1(self, number: int, arch: Architecture, epochs: int, *, inherits: bool) -> float:
        """Return the accuracy after the last epoch; a known one is not measured again."""
        way = f"{'inherited' if inherits else 'from nothing'}, {epochs} epochs"
        if (number, way) not in self.known:
            started = time.process_time()
            trained = run_training(self._job(arch, epochs, inherits=inherits))
            seconds = round(time.process_time() - started, 1)
            top1 = float(trained.history[-1]["top1"])
            self.known[number, way] = top1
            self.lines.append({"network": number, "way": way, "top1": top1, "seconds": seconds})
            print(f"network {number:2} {way}: {top1:.4f}, {seconds} s", flush=True)
        return float(self.known[number, way])

    def _job(self, arch: Architecture, epochs: int, *, inherits: bool = False) -> Any:
        options, arch = Options(), fit_to_data(arch, self.data)
        if inherits:
            assert self.base is not None  # it is trained first
            begun = inherit_weights(self.base, arch, self.data, seed=0)
            arch = begun.arch
            options = Options(weights=begun.weights, normalisation=begun.normalisation)
        recipe = adapt(find_recipe("auto"), epochs=epochs)
        return plan(arch, self.data, recipe, seed=0, options=options)


def networks(count: int) -> list[Architecture]:
    """Return the largest network of the space, and others drawn at random."""
    space = load_space(SPACE)
    rows = space.sample_matrix(np.random.default_rng(0), 4 * count)
    _, first = np.unique(rows, axis=0, return_index=True)
    largest = np.array([space.widths], dtype=rows.dtype) - 1
    chosen = np.concatenate([largest, rows[np.sort(first)[:count]]])
    return [space.decode_row(row) for row in chosen]


def measure(asked: argparse.Namespace) -> tuple[Values, float]:
    """Train all, short trainings first, and return the accuracies by way and network."""
    data = replace(cifar(asked.cifar), name="cifar10_part")
    base, *others = networks(asked.networks)
    values: dict[str, dict[int, float]] = {}
    with closing(Lines(RUNS / f"{data.name}.jsonl", writer="another measurement")) as lines:
        bench = Bench(lines, data, asked)
        top1 = bench.train_base(base)
        print(f"base: {top1:.4f}", flush=True)
        for epochs in (*asked.short, asked.epochs):
            for inherits in (False, True) if epochs in asked.short else (False,):
                way = f"{'inherited' if inherits else 'from nothing'}, {epochs} epochs"
                values[way] = {
                    i: bench.top1(i, arch, epochs, inherits=inherits)
                    for i, arch in enumerate(others)
                }
    return values, top1


def summary(values: Values, epochs: int) -> list[dict[str, Any]]:
    """Return, for every short way, its rank correlation with the full trainings."""
    truth = values[f"from nothing, {epochs} epochs"]
    order = sorted(truth)
    return [
        {
            "way": way,
            "tau_b": round(
                float(kendalltau([of[i] for i in order], [truth[i] for i in order]).statistic), 3
            ),
            "mean_top1": round(float(np.mean(list(of.values()))), 4),
            "best_chosen": round(truth[max(order, key=lambda i: of[i])], 4),
        }
        for way, of in values.items()
    ]


def draw(values: Values, epochs: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the accuracies of the short trainings against those of the full ones."""
    truth = values[f"from nothing, {epochs} epochs"]
    short = [row for row in rows if values[row["way"]] is not truth]
    figure = Figure(figsize=(3.2 * len(short) / 2 + 1, 6), layout="constrained")
    axes = figure.subplots(2, -(-len(short) // 2), squeeze=False, sharey=True)
    for axis, row in zip(axes.T.flat, short, strict=False):
        color = BLUE if row["way"].startswith("inherited") else GREY
        order = sorted(truth)
        axis.plot([100 * values[row["way"]][i] for i in order], [100 * truth[i] for i in order],
                  "o", color=color)  # fmt: skip
        axis.set_title(f"{row['way']}: tau {row['tau_b']:.2f}", fontsize=9)
        axis.set_xlabel("top-1 then (%)")
    axes[0][0].set_ylabel(f"after {epochs} epochs (%)")
    axes[1][0].set_ylabel(f"after {epochs} epochs (%)")
    save(figure, HERE / "ranks.png", dpi=110)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cifar", type=Path, default=CIFAR, help="the archive of cifar10_part")
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--base-epochs", type=int, default=30)
    parser.add_argument("--short", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    values, base = measure(asked)
    rows = summary(values, asked.epochs)
    settings = {
        name: getattr(asked, name) for name in ("networks", "epochs", "base_epochs", "short")
    }
    content = {"schema": 1, **settings, "base_top1": round(base, 4), "ways": rows,
               **circumstances(("numpy", "torch"))}  # fmt: skip
    write_text(HERE / "result.yaml", to_yaml(content))
    for row in rows:
        print(row)
    draw(values, asked.epochs, rows)


if __name__ == "__main__":
    main()
