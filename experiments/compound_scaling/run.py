"""Does compound scaling beat depth, width or resolution alone at equal MACs?

python -m experiments.compound_scaling.run [--seeds 2] [--epochs 6] [--data shapes:...] [--out ...]

python -m experiments.compound_scaling.run --read

Trains a small network and its scaled versions on `shapes`; an interrupted run resumes. The accuracy
model of `mobilenetv3` predicts the two ways that its space allows. Writes result.yaml and
accuracy.png to this folder. `--read` trains nothing and prints result.yaml.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure

from experiments.compound_scaling.known import by_model
from experiments.compound_scaling.variants import Variant, base, variants
from experiments.shared.arguments import training_parser
from experiments.shared.intervals import quantiles
from experiments.shared.results import BLUE, GREEN, OCHRE, RED, circumstances, save
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.jsonl import Lines
from nas.network.cost import cost
from nas.training.data import load_data
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import complete_training, plan

HERE = Path(__file__).resolve().parent
TARGETS = (2.0, 4.0)
COLOURS = {"depth": BLUE, "width": GREEN, "resolution": OCHRE, "compound": RED}


def main() -> None:
    args = _arguments()
    if args.read:
        _print(yaml.safe_load((args.to / "result.yaml").read_text()))
        return
    torch.set_num_threads(1)
    wanted, started = variants(base(), TARGETS), time.perf_counter()
    settings = {"schema": 1, "data": args.data, "epochs": args.epochs, "recipe": "quick"}
    with closing(Lines(args.out / "results.jsonl", writer="another run")) as lines:
        if not lines.records:
            lines.append(settings)
        if lines.records and dict(lines.records[0]) != settings:
            raise SystemExit(f"{lines.path} has other settings: {lines.records[0]}")
        done = {(r["fingerprint"], r["seed"]): r for r in lines.records[1:]}
        for variant, seed in _missing(wanted, range(args.seeds), done):
            record = _train(variant, seed, args.data, args.epochs)
            lines.append(record)
            done[record["fingerprint"], seed] = record
            print(f"seed {seed} {variant.arch.name}: {record['top1']:.4f}", flush=True)
    rows = [_row(variant, done, args.seeds) for variant in wanted]
    result = {
        **settings,
        "seeds": args.seeds,
        "trained": rows,
        "model": by_model(),
        "seconds": round(sum(record["seconds"] for record in done.values())),
        "this_run_seconds": round(time.perf_counter() - started),
        **circumstances(("numpy", "torch")),
    }
    write_text(args.to / "result.yaml", to_yaml(result))
    _draw(rows, args.to / "accuracy.png")
    _print(result)


def _arguments() -> argparse.Namespace:
    parser = training_parser(HERE, seeds=2, epochs=6)
    parser.add_argument("--data", default="shapes:count=3000,difficulty=0")
    return parser.parse_args()


def _missing(
    wanted: Sequence[Variant], seeds: Sequence[int], done: Mapping[tuple[str, int], Any]
) -> Iterator[tuple[Variant, int]]:
    """Yield what has not been trained, seed by seed."""
    for seed in seeds:
        for variant in wanted:
            if (variant.arch.fingerprint, seed) not in done:
                yield variant, seed


def _train(variant: Variant, seed: int, data: str, epochs: int) -> dict[str, Any]:
    """Return the validation accuracy of one training after its last epoch."""
    recipe = adapt(find_recipe("quick"), epochs=epochs)
    trained = complete_training(plan(variant.arch, load_data(data), recipe, seed=seed))
    return {
        "fingerprint": variant.arch.fingerprint,
        "seed": seed,
        "top1": trained.history[-1]["top1"],
        "seconds": round(trained.seconds, 1),
    }


def _row(variant: Variant, done: Mapping[tuple[str, int], Any], seeds: int) -> dict[str, Any]:
    found = cost(variant.arch)
    scores = [done[variant.arch.fingerprint, seed]["top1"] for seed in range(seeds)]
    return {
        "way": variant.way,
        "target": variant.target,
        "times": round(variant.times, 3),
        **{name: round(value, 3) for name, value in asdict(variant.by).items()},
        "macs": found.macs,
        "params": found.params,
        "top1_proxy": [round(score, 4) for score in scores],
        "mean": round(fmean(scores), 4),
        "deviation": round(stdev(scores), 4) if len(scores) > 1 else None,
    }


def _draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    lines: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows[1:]:
        lines[row["way"]].append(row)
    for way, own in lines.items():
        points = [rows[0], *own]
        times = [row["times"] for row in points]
        axes.plot(times, [100 * r["mean"] for r in points], "o-", color=COLOURS[way], label=way)
        for row in own:
            seeds = [100 * score for score in row["top1_proxy"]]
            axes.plot([row["times"]] * len(seeds), seeds, "_", color=COLOURS[way])
    axes.set_xscale("log", base=2)
    axes.set_xlabel("MACs, in multiples of the base's")
    axes.set_ylabel("accuracy on validation images (%), dashes are seeds")
    axes.grid(alpha=0.25)
    axes.legend()
    save(figure, path)


def _compared(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Compare compound scaling with the other ways by a t-test with pooled standard deviation."""
    freedom = sum(len(row["top1_proxy"]) - 1 for row in rows)
    spread = sum((len(row["top1_proxy"]) - 1) * row["deviation"] ** 2 for row in rows) / freedom
    error = (2 * spread / len(rows[0]["top1_proxy"])) ** 0.5
    level, power = quantiles(freedom)
    for compound in (row for row in rows if row["way"] == "compound"):
        for row in rows:
            if row["target"] == compound["target"] and row is not compound:
                gap = 100 * (compound["mean"] - row["mean"])
                half = 100 * level * error
                yield f"{row['target']:g} x, against {row['way']}: {gap:+.1f} ± {half:.1f} points"
    yield f"detectable with a power of 80 %: {100 * (level + power) * error:.0f} points"


def _print(result: Mapping[str, Any]) -> None:
    """Print both tables of the README."""
    print("| way | MACs | depth | width | resolution | params k | accuracy % | seeds |")
    print("|---|---|---|---|---|---|---|---|")
    for row in result["trained"]:
        seeds = ", ".join(f"{100 * score:.1f}" for score in row["top1_proxy"])
        print(
            f"| {row['way']} | {row['times']:.2f} x | {row['depth']:.2f} | {row['width']:.2f} | "
            f"{row['resolution']:.2f} | {row['params'] / 1e3:.0f} | {100 * row['mean']:.2f} | "
            f"{seeds} |"
        )
    print("\ncompound scaling, with 95 % intervals:", *_compared(result["trained"]), sep="\n")
    print("\n| way | layers | px | MACs | points gained | per doubling | least | most | wins |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in result["model"]["ways"]:
        print(
            f"| {row['way']} | {row['layers']} | {row['resolution']} | {row['times']:.2f} x | "
            f"{100 * row['gain']:+.2f} | {100 * row['doubling']:+.2f} | "
            f"{100 * row['least']:+.2f} | {100 * row['most']:+.2f} | "
            f"{row['wins']} |"
        )


if __name__ == "__main__":
    main()
