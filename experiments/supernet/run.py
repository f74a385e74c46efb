"""Train supernets of NAS-Bench-Macro's networks, and score networks of them.

python -m experiments.supernet.run train full --epochs 14 --images imagefolder:FOLDER
python -m experiments.supernet.run score full --images imagefolder:FOLDER [--networks 500]
python -m experiments.supernet.run costs --images imagefolder:FOLDER
python -m experiments.supernet.run alone --epochs 1 --images imagefolder:FOLDER [--networks 500]

Everything is in runs/supernet, where each command resumes; report.py reads it.
"""

import argparse
import json
import time
from collections.abc import Mapping
from contextlib import closing

import numpy as np

from experiments.shared.folders import ROOT, SHARED_DATA
from experiments.strategies.macro import FILE
from experiments.supernet.networks import HALF, load, rows_of
from nas.accuracy.zero_cost import first_batch, zero_cost_score
from nas.core.jsonl import Lines
from nas.supernet.find import load_supernet
from nas.supernet.run import plan_supernet, train_supernet
from nas.supernet.sandwich import Sharing
from nas.supernet.scoring import Scorer
from nas.training import run as training
from nas.training.data import load_data
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_to_data

RUNS, ALONE = ROOT / "runs" / "supernet", "alone"
VARIANTS: Mapping[str, Sharing] = {
    "full": Sharing(),
    "short": Sharing(),
    "no_sandwich": Sharing(sandwich=False, random=4),
    "no_distillation": Sharing(distil=False),
    "transform": Sharing(kernel="transform"),
}
SCORES = ("naswot", "synflow", "zen", "snip", "grad_norm")


def sampled(count: int) -> list[str]:
    """Return the names of some networks, drawn at random."""
    content = json.loads((SHARED_DATA / "nas_bench_macro" / FILE).read_text(encoding="utf-8"))
    names = sorted(content)
    chosen = np.random.default_rng(0).permutation(len(names))[:count]
    return [names[i] for i in chosen]


def train(variant: str, epochs: int, images: str) -> None:
    """Train one supernet on half of the channels and pixels."""
    space = load(HALF)
    pool = rows_of(space, sampled(6561))
    recipe = adapt(find_recipe("auto"), epochs=epochs)
    job = plan_supernet(space, load_data(images), recipe, sharing=VARIANTS[variant], pool=pool)
    cpu = time.process_time()
    trained = train_supernet(job, str(HALF), RUNS / variant)
    seconds = round(time.process_time() - cpu, 1)
    line = {"variant": variant, "epochs": epochs, "seconds": seconds, **trained.metrics}
    with closing(Lines(RUNS / "trainings.jsonl", writer="another training")) as lines:
        lines.append(line)
    print(line)


def score(variant: str, count: int, images: str, calibration: int) -> None:
    """Append the accuracy of networks with the weights of one supernet."""
    data, name = load_data(images), variant if calibration else f"{variant}_uncalibrated"
    scorer = Scorer(load_supernet(str(RUNS / variant)), data, calibration=calibration)
    names = sampled(count)
    archs = load(HALF).decode_rows(rows_of(load(HALF), names))
    with closing(Lines(RUNS / f"{name}.jsonl", writer="another scoring")) as lines:
        for i in range(len(lines.records), count):
            cpu = time.process_time()
            top1 = scorer.top1(archs[i])
            seconds = round(time.process_time() - cpu, 3)
            lines.append({"name": names[i], "top1": top1, "seconds": seconds})


def costs(count: int, images: str) -> None:
    """Append the zero-cost scores of networks, as narrow as the supernet has them."""
    data, names, space = load_data(images), sampled(count), load(HALF)
    archs = space.decode_rows(rows_of(space, names))
    pixels, labels = first_batch(data, batch=64, side=space.resolutions[0], seed=0)
    with closing(Lines(RUNS / "zero_cost.jsonl", writer="another scoring")) as lines:
        for i in range(len(lines.records), count):
            cpu, arch = time.process_time(), fit_to_data(archs[i], data)
            found = {s: zero_cost_score(s, arch, pixels, labels, seed=0) for s in SCORES}
            seconds = round(time.process_time() - cpu, 3)
            lines.append({"name": names[i], **found, "seconds": seconds})


def alone(count: int, epochs: int, images: str) -> None:
    """Append the accuracy of networks after a short training of each, at half width."""
    data, names, space = load_data(images), sampled(count), load(HALF)
    archs, recipe = (
        space.decode_rows(rows_of(space, names)),
        adapt(find_recipe("auto"), epochs=epochs),
    )
    with closing(Lines(RUNS / f"{ALONE}.jsonl", writer="another training")) as lines:
        for i in range(len(lines.records), count):
            cpu, found = time.process_time(), training.train(archs[i], data, recipe)
            seconds = round(time.process_time() - cpu, 1)
            facts = {"epochs": epochs, "top1": found.top1, "seconds": seconds}
            lines.append({"name": names[i], **facts})


def main() -> None:
    """Run the command in the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "score", "costs", "alone"])
    parser.add_argument("variant", nargs="?", default="full", choices=VARIANTS)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--calibration", type=int, default=2)
    parser.add_argument("--images", required=True)
    given = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    if given.what == "train":
        train(given.variant, given.epochs, given.images)
    elif given.what == "score":
        score(given.variant, given.networks, given.images, given.calibration)
    elif given.what == "alone":
        alone(given.networks, given.epochs, given.images)
    else:
        costs(given.networks, given.images)


if __name__ == "__main__":
    main()
