"""Rank small networks by cheap proxies, and compare with the ranking by full trainings.

python -m experiments.proxies.run measure [--data cifar10_part] [--fashion FOLDER] [--seeds 2]
python -m experiments.proxies.run report

`measure` appends to runs/proxies/NAME.jsonl and resumes an interrupted run; `report` writes
result.yaml and correlation.png to this folder from all of them.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.shared.folders import ROOT
from experiments.shared.small_images import NAMES, folder
from nas import load_space
from nas.accuracy.zero_cost import SCORES, first_batch, zero_cost_score
from nas.core.jsonl import Lines
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.space.space import Space
from nas.supernet.find import load_supernet
from nas.supernet.run import plan_supernet, train_supernet
from nas.supernet.scoring import Scorer
from nas.training.data import Data, load_data
from nas.training.inherited import inherit_weights
from nas.training.job import Options
from nas.training.recipe_files import find_recipe
from nas.training.recipes import Recipe, adapt
from nas.training.run import fit_to_data, plan, run_training

HERE = Path(__file__).resolve().parent
RUNS = ROOT / "runs" / "proxies"
SPACE = HERE / "small.yaml"
IMAGES = (2_000, 2_000, 0)
"""To train on, to compare by, and to report, which nothing does here."""
NETWORKS, TEACHING, BATCH = 24, 48, 64
FULL = 9
"""Epochs of a full training, of the supernet and of the network to inherit from."""
SHORT = {1: "1/9", 3: "1/3"}
LEARNED_FROM = "trained 1/9"
"""The learned model is fitted to other networks than it is tested on, after such a training."""
Measure = Callable[[Architecture], float]


def networks() -> np.ndarray:
    """Return the picks of the networks to rank, followed by those to learn from."""
    rows = load_space(SPACE).sample_matrix(np.random.default_rng(0), 4 * (NETWORKS + TEACHING))
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)[: NETWORKS + TEACHING]]


def recipe(epochs: int) -> Recipe:
    """Return the recipe of all trainings, at a length."""
    return adapt(find_recipe("auto"), epochs=epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What networks are trained and scored with."""

    data: Data
    largest: Checkpoint
    """The trained largest network of the space, to inherit from."""
    scorer: Scorer
    """By the trained supernet of the space."""

    def trained(self, arch: Architecture, epochs: int, seed: int, *, inherits: bool) -> float:
        """Return the accuracy after the last epoch."""
        options = Options()
        if inherits:
            begun = inherit_weights(self.largest, arch, self.data, seed=seed)
            options = Options(weights=begun.weights, normalisation=begun.normalisation)
            arch = begun.arch
        job = plan(arch, self.data, recipe(epochs), seed=seed, options=options)
        return float(run_training(job).history[-1]["top1"])

    def jobs(self, seeds: int) -> Iterator[tuple[int, str, Measure]]:
        """Yield what is measured: the network's number, the name of the proxy, and the function."""
        images, labels = first_batch(self.data, batch=BATCH, side=32, seed=0)
        scored = partial(zero_cost_score, images=images, labels=labels, seed=0)
        ways: dict[str, Measure] = {name: partial(scored, name) for name in SCORES}
        for epochs, share in SHORT.items():
            for name, inherits in (("trained", False), ("inherited", True)):
                short = partial(self.trained, epochs=epochs, seed=0, inherits=inherits)
                ways[f"{name} {share}"] = short
        ways["supernet"] = self.scorer.top1
        for seed in range(1, seeds + 1):  # short trainings have seed 0
            ways[f"final {seed}"] = partial(self.trained, epochs=FULL, seed=seed, inherits=False)
        for name, way in ways.items():
            for i in range(NETWORKS + (TEACHING if name == LEARNED_FROM else 0)):
                yield i, name, way


def prepared(name: str, data: Data, lines: Lines) -> Bench:
    """Train what is trained once for all networks, and append what it costs."""
    space, known = load_space(SPACE), {record.get("once") for record in lines.records}

    def once(proxy: str, train: Callable[[Path], object]) -> str:
        out, started = RUNS / f"{name}-{proxy}", time.process_time()
        train(out)
        if proxy not in known:
            lines.append({"once": proxy, "seconds": time.process_time() - started})
        return str(out)

    arch = fit_to_data(space.decode_row((np.array(space.widths) - 1).astype(np.uint8)), data)
    alone = plan(arch, data, recipe(FULL), seed=0)
    shared = plan_supernet(space, data, recipe(FULL))
    largest = once("inherited", lambda out: run_training(alone, out))
    supernet = once("supernet", lambda out: train_supernet(shared, str(SPACE), out))
    scorer = Scorer(load_supernet(supernet), data)
    return Bench(data=data, largest=load_checkpoint(largest), scorer=scorer)


def measure(name: str, seeds: int, fashion: Path | None) -> None:
    """Append the missing measurements of one dataset."""
    space, picks = load_space(SPACE), networks()
    RUNS.mkdir(parents=True, exist_ok=True)
    data = load_data(f"imagefolder:{folder(name, RUNS, IMAGES, fashion)}")
    with closing(Lines(RUNS / f"{name}.jsonl", writer="another measurement")) as lines:
        done = {(r["network"], r["proxy"]) for r in lines.records if "network" in r}
        for number, proxy, work in prepared(name, data, lines).jobs(seeds):
            if (number, proxy) in done:
                continue
            arch = _network(space, picks[number], data, proxy)
            started = time.process_time()
            value = work(arch)
            seconds = time.process_time() - started
            lines.append({"network": number, "proxy": proxy, "value": value, "seconds": seconds})
            print(f"{name} {number:2} {proxy:14} {value:10.4f} {seconds:7.2f} s", flush=True)


def _network(space: Space, row: np.ndarray, data: Data, proxy: str) -> Architecture:
    """Return a network with the classes of the data; one of the supernet is as in the space."""
    arch = space.decode_row(row)
    return arch if proxy == "supernet" else fit_to_data(arch, data)


Values = Mapping[str, Mapping[int, float]]
Costs = Mapping[str, float]


def read(name: str) -> tuple[Values, Costs, Costs]:
    """Return values by proxy and network; seconds of every proxy for a network, and once."""
    with closing(Lines(RUNS / f"{name}.jsonl", writer="another measurement")) as lines:
        records: list[Mapping[str, Any]] = list(lines.records)
    once = {r["once"]: r["seconds"] for r in records if "once" in r}
    values: dict[str, dict[int, float]] = {}
    seconds: dict[str, list[float]] = {}
    for r in records:
        if "network" in r:
            values.setdefault(r["proxy"], {})[r["network"]] = r["value"]
            seconds.setdefault(r["proxy"], []).append(r["seconds"])
    return values, {p: float(np.mean(each)) for p, each in seconds.items()}, once


def main() -> None:
    """Measure or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--data", choices=NAMES, nargs="+", default=NAMES)
    parser.add_argument("--fashion", type=Path, help="the folder with Fashion-MNIST's files")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what == "measure":
        for name in given.data:
            measure(name, given.seeds, given.fashion)
    else:
        from experiments.proxies.report import write

        write({name: read(name) for name in given.data}, networks())


if __name__ == "__main__":
    main()
