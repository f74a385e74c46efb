"""Compare recipe `auto` with plain PyTorch loops, for several networks and datasets.

python -m experiments.training.run measure [--cifar ZIP] [--fashion FOLDER] [--epochs 10 20]
python -m experiments.training.run report

`measure` appends to measured/DATA.jsonl in this folder, and resumes an interrupted run; `report`
writes result.yaml and compared.png. For Fashion-MNIST, give a folder with its four files.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch

from experiments.shared.fashion import write_folders
from experiments.shared.folders import ROOT, SHARED_DATA
from experiments.training.plain import PLAIN, Images
from experiments.training.plain import train as train_plainly
from nas import build_model
from nas.core.jsonl import Lines
from nas.network.blocks import Architecture
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.training import data as nas_data
from nas.training.data import Data, load_data, subset
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_to_data, train

HERE = Path(__file__).resolve().parent
RUNS = ROOT / "runs" / "training"
MEASURED = HERE / "measured"
CIFAR = SHARED_DATA / "cifar10_part" / "cifar10_part.zip"
TRAIN, VAL = 3_000, 1_000
SIDES = {"cifar10_part": 64, "fashion_mnist": 64, "digits": 32}
SMALL_SIDES = {"efficientnet_b0": 32}
"""The side of the images in px, and that for slow networks, whatever the data."""
NETWORKS = ("mobilenet_v3_small", "found", "efficientnet_b0")
EPOCHS, SEEDS = (10, 20, 50), 3
RECIPES = ("auto", "quick")
KEEP = (4, 2)
"""Of the plain loops of the first length, so many of the best go on to the second and third."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Case:
    """The data, network and epochs of a comparison."""

    data: str
    network: str
    epochs: int


class Bench:
    """Trains, and stores the results."""

    def __init__(self, lines: Lines, data: Data) -> None:
        """Measure on `data`, and append to `lines`."""
        self.lines, self.data = lines, data
        self.known = {_key(record): record for record in lines.records}

    def top1(self, case: Case, way: str, seed: int) -> float:
        """Return the accuracy after the last epoch; a known one is not measured again."""
        wanted: dict[str, Any] = {
            "data": case.data, "network": case.network, "epochs": case.epochs,
            "way": way, "seed": seed, "side": _side(case.data, case.network),
        }  # fmt: skip
        if (key := _key(wanted)) not in self.known:
            network = scale_resolution(_network(case.network), wanted["side"])
            arch = fit_to_data(network, self.data)
            started = time.process_time()
            work = _by_recipe if way in RECIPES else _plainly
            top1 = work(arch, self.data, way, epochs=case.epochs, seed=seed)
            seconds = round(time.process_time() - started, 1)
            self.known[key] = {**wanted, "top1": round(top1, 4), "cpu_seconds": seconds}
            self.lines.append(self.known[key])
            print(f"{' '.join(map(str, wanted.values()))}: {top1:.4f}, {seconds} s", flush=True)
        return float(self.known[key]["top1"])

    def compare(self, case: Case, ways: Sequence[str], recipes: Sequence[str], seeds: int) -> None:
        """Train by plain `ways` with one seed, then the best and the recipes with others."""
        best = self.ranked(case, ways)[0]
        for way in (*recipes, best):
            for seed in range(seeds):
                self.top1(case, way, seed)

    def ranked(self, case: Case, ways: Sequence[str]) -> list[str]:
        """Return `ways`, the best first by their first seed."""
        return sorted(ways, key=lambda way: -self.top1(case, way, 0))


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what was trained; earlier records have no side."""
    side = record.get("side", SIDES[record["data"]])
    return (*(record[name] for name in ("data", "network", "epochs", "way", "seed")), side)


def _side(data: str, network: str) -> int:
    return SMALL_SIDES.get(network, SIDES[data])


def _network(name: str) -> Architecture:
    own = HERE / f"{name}.yaml"
    return load_architecture(own if own.is_file() else name)


def _by_recipe(arch: Architecture, data: Data, way: str, *, epochs: int, seed: int) -> float:
    recipe = adapt(find_recipe(way), epochs=epochs)
    return float(train(arch, data, recipe, seed=seed).history[-1]["top1"])


def _plainly(arch: Architecture, data: Data, way: str, *, epochs: int, seed: int) -> float:
    side = arch.resolution
    images = Images(
        train=_tensor(data, data.train, side),
        train_labels=torch.from_numpy(data.train.labels),
        val=_tensor(data, data.val, side),
        val_labels=torch.from_numpy(data.val.labels),
        mirrored=data.mirrored,
    )
    model = build_model(arch, seed=seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's
    return train_plainly(model, images, PLAIN[way], epochs=epochs, seed=seed)


def _tensor(data: Data, images: nas_data.Images, side: int) -> torch.Tensor:
    pixels = torch.from_numpy(images.read(np.arange(len(images)), side)).float() / 255
    mean, deviation = (torch.tensor(t)[:, None, None] for t in (data.mean, data.deviation))
    return ((pixels - mean) / deviation).contiguous(memory_format=torch.channels_last)


def cifar(archive: Path) -> Data:
    """Return a part of cifar10_part with equally many images of every class."""
    folder = RUNS / "cifar10_part"
    if not folder.is_dir():
        with ZipFile(archive) as packed:
            packed.extractall(RUNS)
    return _part(load_data(f"imagefolder:{folder}"))


def _fashion(source: Path) -> Data:
    """Return a part of Fashion-MNIST, whose four files are in `source`."""
    folder = RUNS / "fashion_mnist"
    if not folder.is_dir():
        write_folders(source, folder, train=TRAIN, val=VAL)
    return load_data(f"imagefolder:{folder}")


def _part(data: Data) -> Data:
    """Return `data` with the number of images used here, drawn at random."""

    def drawn(images: nas_data.Images, count: int) -> nas_data.Images:
        rows = np.random.default_rng(0).permutation(len(images))[:count]
        return subset(images, np.sort(rows))

    return replace(data, train=drawn(data.train, TRAIN), val=drawn(data.val, VAL))


def _data(given: argparse.Namespace) -> Iterator[tuple[str, Data]]:
    """Yield the available data."""
    if "digits" in given.data:
        yield "digits", load_data("digits")
    if "cifar10_part" in given.data and given.cifar.is_file():
        yield "cifar10_part", cifar(given.cifar)
    if "fashion_mnist" in given.data and given.fashion:
        yield "fashion_mnist", _fashion(given.fashion)


def measure(given: argparse.Namespace) -> None:
    """Train what is not measured yet, short trainings first."""
    RUNS.mkdir(parents=True, exist_ok=True)
    for name, data in _data(given):
        with closing(Lines(MEASURED / f"{name}.jsonl", writer="another measurement")) as lines:
            bench = Bench(lines, data)
            kept = dict.fromkeys(given.networks, given.plain)
            for epochs, keep in zip(given.epochs, chain(given.keep, repeat(1)), strict=False):
                for network in given.networks:
                    case = Case(data=name, network=network, epochs=epochs)
                    bench.compare(case, kept[network], given.recipes, given.seeds)
                    kept[network] = bench.ranked(case, kept[network])[:keep]


def main() -> None:
    """Measure or report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--cifar", type=Path, default=CIFAR, help="the archive of cifar10_part")
    parser.add_argument("--fashion", type=Path, help="the folder with Fashion-MNIST's files")
    parser.add_argument("--data", nargs="+", choices=[*SIDES], default=[*SIDES])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--epochs", nargs="+", type=int, default=EPOCHS)
    parser.add_argument("--plain", nargs="+", choices=PLAIN, default=[*PLAIN], help="the loops")
    parser.add_argument(
        "--keep", nargs="*", type=int, default=KEEP, help="loops that go on to the next length"
    )
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what == "measure":
        measure(given)
    else:
        from experiments.training.report import write

        write(MEASURED)


if __name__ == "__main__":
    main()
