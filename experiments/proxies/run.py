"""Rank small networks by cheap proxies, and compare with the ranking by a full training.

python -m experiments.proxies.run measure [--data digits] [--seeds 2] [--threads 1]
python -m experiments.proxies.run report

`measure` appends to runs/proxies/NAME.jsonl and resumes an interrupted run; `report` writes
result.yaml and correlation.png to this folder from all of them.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.shared.folders import ROOT
from nas import load_space
from nas.accuracy.zero_cost import SCORES, first_batch, zero_cost_score
from nas.core.jsonl import Lines
from nas.network.blocks import Architecture
from nas.training.data import Data, Images, load_data
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_to_data, train

HERE = Path(__file__).resolve().parent
RUNS = ROOT / "runs" / "proxies"
DATA = {"digits": "digits", "shapes": "shapes:difficulty=0.1"}
EPOCHS = {"digits": 50, "shapes": 16}
"""Epochs of a full training; shapes has four times as many images."""
NETWORKS, TEACHING, BATCH = 24, 48, 64
SHARES = (0.01, 0.03, 0.1)
LEARNED_FROM = 0.1
"""The learned model is fitted to other networks than it is tested on, after this share of a
training."""


def networks() -> np.ndarray:
    """Return the picks of the networks to rank, followed by those to learn from."""
    space = load_space(HERE / "small.yaml")
    rows = space.sample_matrix(np.random.default_rng(0), 4 * (NETWORKS + TEACHING))
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)[: NETWORKS + TEACHING]]


def part(data: Data, share: float) -> Data:
    """Return `data` with a share of the training images, drawn at random."""
    count = round(share * len(data.train))
    chosen = np.random.default_rng(0).permutation(len(data.train))[:count]
    read = data.train.read
    images = Images(
        labels=data.train.labels[chosen], read=lambda rows, side: read(chosen[rows], side)
    )
    return replace(data, train=images)


def trained(arch: Architecture, data: Data, epochs: float, seed: int) -> float:
    """Return the accuracy after `epochs` epochs, with a schedule of that length."""
    whole = max(1, int(np.ceil(epochs)))
    recipe = adapt(find_recipe("quick"), epochs=whole)
    top1 = train(arch, part(data, epochs / whole), recipe, seed=seed).top1
    assert top1 is not None  # an epoch was trained
    return top1


def jobs(
    data: Data, full: int, seeds: int
) -> Iterator[tuple[int, str, Callable[[Architecture], float]]]:
    """Yield what is measured: the network's number, the name of the proxy, and the function.

    A full training has `full` epochs.
    """
    images, labels = first_batch(data, batch=BATCH, side=32, seed=0)
    scored = partial(zero_cost_score, images=images, labels=labels, seed=0)
    for name in SCORES:
        for i in range(NETWORKS):
            yield i, name, partial(scored, name)
    for share in SHARES:
        for i in range(NETWORKS + (TEACHING if share == LEARNED_FROM else 0)):
            yield i, f"train {share:.0%}", partial(trained, data=data, epochs=share * full, seed=0)
    for seed in range(seeds):
        for i in range(NETWORKS):
            yield i, f"final {seed}", partial(trained, data=data, epochs=full, seed=seed)


def measure(name: str, seeds: int) -> None:
    """Append the missing measurements of one dataset."""
    space, picks = load_space(HERE / "small.yaml"), networks()
    data = load_data(DATA[name])
    with closing(Lines(RUNS / f"{name}.jsonl", writer="another measurement")) as lines:
        done = {(r["network"], r["proxy"]) for r in lines.records}
        for number, proxy, work in jobs(data, EPOCHS[name], seeds):
            if (number, proxy) in done:
                continue
            arch = fit_to_data(space.decode_row(picks[number]), data)
            started = time.process_time()
            value = work(arch)
            seconds = time.process_time() - started
            lines.append({"network": number, "proxy": proxy, "value": value, "seconds": seconds})
            print(
                f"{name} network {number:2} {proxy:10} {value:10.4f} {seconds:7.2f} s", flush=True
            )


def read(name: str) -> tuple[Mapping[str, Mapping[int, float]], Mapping[str, float]]:
    """Return the values by proxy and network, and the mean seconds of every proxy."""
    with closing(Lines(RUNS / f"{name}.jsonl", writer="another measurement")) as lines:
        records: list[Mapping[str, Any]] = list(lines.records)
    names = dict.fromkeys(r["proxy"] for r in records)
    values = {p: {r["network"]: r["value"] for r in records if r["proxy"] == p} for p in names}
    seconds = {p: float(np.mean([r["seconds"] for r in records if r["proxy"] == p])) for p in names}
    return values, seconds


def main() -> None:
    """Measure or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--data", choices=[*DATA], action="append")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what == "measure":
        for name in given.data or DATA:
            measure(name, given.seeds)
    else:
        from experiments.proxies.report import write

        write({name: read(name) for name in DATA}, networks())


if __name__ == "__main__":
    main()
