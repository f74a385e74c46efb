"""Fashion-MNIST (Xiao et al., 2017) as folders of images, from its four files."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 28


def write_folders(source: Path, folder: Path, *, train: int, val: int) -> None:
    """Write the first training and test images to train/ and val/ in `folder`.

    `source` holds `train-images-idx3-ubyte.gz`, `t10k-labels-idx1-ubyte.gz` and so on, as the
    authors and the Debian package `dataset-fashion-mnist` distribute them.
    """
    for part, prefix, count in (("train", "train", train), ("val", "t10k", val)):
        pixels = _idx(source / f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, _SIDE, _SIDE)
        labels = _idx(source / f"{prefix}-labels-idx1-ubyte.gz", 8)
        for number in range(count):
            place = folder / part / str(labels[number])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[number]).save(place / f"{number:05}.png")


def _idx(path: Path, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)[header:]
