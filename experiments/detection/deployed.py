"""Compare the AP of exported detectors, run by the scripts in `examples/`, with that of `nas eval`.

    python -m experiments.detection.deployed TRAINING_FOLDER FOLDER_OF_VOC

The scripts read image files with pillow alone, so the folder must be unpacked.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import torch

from nas.exporting.export import export
from nas.network.checkpoint import load_checkpoint
from nas.training.boxes import Detections
from nas.training.data import load_data
from nas.training.detection.metric import AveragePrecision, average_precision
from nas.training.objects import Objects

EXAMPLES = Path(__file__).parents[2] / "examples"
SIDE = 1000
"""Boxes are compared on images of this side, whose value does not matter."""
Detect = Callable[[str, str], list[tuple[str, float, list[float]]]]


def main() -> None:
    """Print a line for each runtime."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="of a training on the data")
    parser.add_argument("voc", help="the unpacked folder of the data")
    asked = parser.parse_args()
    folder, voc = asked.folder, asked.voc
    trained, data = load_checkpoint(folder), load_data(f"voc:{voc}")
    objects = data.val.labels
    assert isinstance(objects, Objects)
    print(f"nas eval knows map {trained.map:.4f} on the validation images")
    names = next(Path(voc).rglob("ImageSets/Main/val.txt")).read_text(encoding="utf-8").split()
    images = [str(next(Path(voc).rglob(f"JPEGImages/{name}.*"))) for name in names]
    with TemporaryDirectory() as work:
        for script, suffix in (("detect_onnx", "onnx"), ("detect_litert", "tflite")):
            path = export(trained.arch, Path(work) / f"model.{suffix}", trained=trained)
            detect: Detect = _module(script).detect
            found = [_found(detect(str(path), image), data.classes, image) for image in images]
            scored: AveragePrecision = average_precision(
                found, objects, classes=len(data.classes), side=SIDE
            )
            print(f"examples/{script}.py: map {scored.map:.4f}, map50 {scored.map50:.4f}")


def _found(
    rows: list[tuple[str, float, list[float]]], classes: Sequence[str], image: str
) -> Detections:
    from PIL import Image

    size = np.tile(Image.open(image).size, 2)
    corners = np.array([box for *_, box in rows]).reshape(-1, 4) / size * SIDE
    return Detections(
        corners=torch.from_numpy(corners.astype(np.float32)),
        scores=torch.tensor([score for _, score, _ in rows]),
        labels=torch.tensor([classes.index(name) for name, *_ in rows], dtype=torch.int64),
    )


def _module(name: str) -> ModuleType:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
