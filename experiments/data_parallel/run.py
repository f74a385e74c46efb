"""Do several workers reach the accuracy of one, at the same total batch?

python -m experiments.data_parallel.run [--seeds 10] [--epochs 12] [--workers 1 2 4] [--out ...]
python -m experiments.data_parallel.run --read

Trains one network on `digits` with every number of workers and every seed; an interrupted run
resumes. Writes result.yaml and accuracy.png to this folder. `--read` trains nothing, and computes
the differences again from the accuracies in result.yaml.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import ray
import torch
import yaml
from matplotlib.figure import Figure

from experiments.shared.arguments import training_parser
from experiments.shared.intervals import detectable, half_interval
from experiments.shared.results import BLUE, RED, circumstances, save
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.storage import Place
from nas.core.workers.join import Need, connect
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.training.data import load_data
from nas.training.distributed import Workers, train_distributed
from nas.training.job import TrainingJob
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import Trained, complete_training, plan

HERE = Path(__file__).resolve().parent
NETWORK, SIDE, RECIPE = "mobilenet_v3_small", 32, "quick"
NEED = Need(cpus=1, gpus=0)


def main() -> None:
    args = _arguments()
    if args.read:
        result = yaml.safe_load((args.to / "result.yaml").read_text())
        found = {workers: row["top1"] for workers, row in result["workers"].items()}
    else:
        result, found = _trained(args)
    result["workers"] = {workers: _row(found, workers) for workers in found}
    write_text(args.to / "result.yaml", to_yaml(result))
    _draw(found, args.to / "accuracy.png")
    _print(result)


def _trained(args: argparse.Namespace) -> tuple[dict[str, Any], dict[int, list[float]]]:
    """Train with every number of workers and every seed, and return the accuracies."""
    torch.set_num_threads(1)
    found: dict[int, list[float]] = {workers: [] for workers in args.workers}
    with ExitStack() as stack:
        if connect("", NEED, workers=max(args.workers), environment=""):
            stack.callback(ray.shutdown)
        for seed in range(args.seeds):
            for workers in args.workers:
                job = _job(seed, args.epochs)
                trained = _train(job, workers, args.out / f"{workers}-{seed}")
                found[workers].append(trained.history[-1]["top1"])
                print(f"seed {seed}, {workers} workers: {found[workers][-1]:.4f}", flush=True)
    result = {
        "schema": 1,
        "network": f"{NETWORK}@{SIDE}",
        "data": "digits",
        "recipe": RECIPE,
        "epochs": args.epochs,
        "batch": job.recipe.batch,
        "images": {"train": len(job.data.train), "val": len(job.data.val)},
        "workers": {},
        **circumstances(("ray", "torch")),
    }
    return result, found


def _arguments() -> argparse.Namespace:
    parser = training_parser(HERE, seeds=10, epochs=12)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="1 first.")
    return parser.parse_args()


def _job(seed: int, epochs: int) -> TrainingJob:
    arch = scale_resolution(load_architecture(NETWORK), SIDE)
    recipe = adapt(find_recipe(RECIPE), epochs=epochs)
    return plan(arch, load_data("digits"), recipe, seed=seed)


def _train(job: TrainingJob, workers: int, out: Path) -> Trained:
    """Train, one worker in this process; a finished training is read."""
    if workers == 1:
        return complete_training(job, out)
    return train_distributed(job, Place(out), Workers(count=workers, need=NEED))


def _row(found: Mapping[int, Sequence[float]], workers: int) -> dict[str, Any]:
    """Return the accuracies of `workers` workers, and their differences from those of one."""
    alone, values = found[1], found[workers]
    row = {"top1": values, "mean": fmean(values), "deviation": stdev(values)}
    if workers == 1:
        return row
    gaps = [value - one for value, one in zip(values, alone, strict=True)]
    return {
        **row,
        "difference": fmean(gaps),
        "half_of_95_percent_interval": half_interval(gaps),
        "detectable": detectable(gaps),
    }


def _draw(found: Mapping[int, Sequence[float]], path: Path) -> None:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for place, values in enumerate(found.values()):
        shifts = [place + 0.05 * (i - (len(values) - 1) / 2) for i in range(len(values))]
        axes.plot(shifts, [100 * v for v in values], "o", color=BLUE)
        mean = 100 * fmean(values)
        axes.plot([place - 0.25, place + 0.25], [mean, mean], color=RED)
    axes.set_xticks(range(len(found)), list(map(str, found)))
    axes.set_xlabel("workers (a dot for each seed, a line for their mean)")
    axes.set_ylabel("top-1 on digits, %")
    axes.set_title("One network, the same batch in all")
    save(figure, path, dpi=120)


def _print(result: Mapping[str, Any]) -> None:
    for workers, row in result["workers"].items():
        text = f"{workers} workers: {100 * row['mean']:.2f} ± {100 * row['deviation']:.2f} %"
        if "difference" in row:
            half = row["half_of_95_percent_interval"]
            text += f", {100 * row['difference']:+.2f} ± {100 * half:.2f} points against one"
            text += f" (detectable with a power of 80 %: {100 * row['detectable']:.1f} points)"
        print(text)


if __name__ == "__main__":
    main()
