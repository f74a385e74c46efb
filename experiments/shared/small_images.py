"""Two small data sets as a user has them, with images apart that only the report sees."""

import gzip
import os
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image

from experiments.shared.folders import SHARED_DATA

CIFAR = SHARED_DATA / "cifar10_part" / "cifar10_part.zip"
NAMES = ("cifar10_part", "fashion_mnist")
_PREFIX = {"train": "train", "test": "t10k"}


def folder(name: str, runs: Path, counts: tuple[int, int, int], fashion: Path | None) -> Path:
    """Return the folder with `counts` images to train on, to choose by, and to report.

    It is made if it is not there: under `runs`, by names that tell the counts.
    """
    made = runs / "-".join(map(str, (name, *counts)))
    if made.is_dir():
        return made
    scratch = runs / f".{made.name}.{os.getpid()}"
    (_unpack_cifar if name == "cifar10_part" else _unpack_fashion)(scratch, counts, fashion)
    scratch.rename(made)
    return made


def _unpack_cifar(to: Path, counts: tuple[int, int, int], _: Path | None) -> None:
    with ZipFile(CIFAR) as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".jpg"))
        own = [[n for n in names if f"/{part}/" in f"/{n}"] for part in ("train", "val")]
        for split, chosen in _split(own[0], own[1], counts).items():
            for name in chosen:
                _write(to / split / Path(name).parent.name / Path(name).name, packed.read(name))


def _unpack_fashion(to: Path, counts: tuple[int, int, int], source: Path | None) -> None:
    if source is None:
        raise SystemExit("give the folder with the four files of Fashion-MNIST: --fashion FOLDER")
    pixels = {p: _idx(source / f"{f}-images-idx3-ubyte.gz", 16) for p, f in _PREFIX.items()}
    labels = {p: _idx(source / f"{f}-labels-idx1-ubyte.gz", 8) for p, f in _PREFIX.items()}
    names = {p: [f"{p}/{i:05}" for i in range(len(labels[p]))] for p in _PREFIX}
    for split, chosen in _split(names["train"], names["test"], counts).items():
        for name in chosen:
            part, number = name.split("/")
            place = to / split / str(labels[part][int(number)])
            place.mkdir(parents=True, exist_ok=True)
            image = pixels[part].reshape(-1, 28, 28)[int(number)]
            Image.fromarray(image).save(place / f"{number}.png")


def _idx(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)[header:]


def _split(own: list[str], other: list[str], counts: tuple[int, int, int]) -> dict[str, list[str]]:
    """Return names drawn at random: to train on and to choose by from `own`, to report the rest."""
    train, val, test = counts
    order = np.random.default_rng(0).permutation(len(own))
    rest = np.random.default_rng(1).permutation(len(other))[:test]
    return {
        "train": [own[i] for i in order[:train]],
        "val": [own[i] for i in order[train : train + val]],
        "test": [other[i] for i in rest],
    }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
