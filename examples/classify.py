"""Classify a folder of images with an exported network, as an application would.

    python classify.py model.onnx images/val
    python classify.py model.tflite images/val

The folder has a folder of images for each class. Only numpy, pillow and the runtime are needed
(onnxruntime, or ai-edge-litert): what the network wants to see is in the model's metadata, or
beside a .tflite file in a .tflite.json.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Classify = Callable[[np.ndarray], np.ndarray]
"""Takes one normalised image (height, width, 3) and gives a number for each class."""


def main(model: Path, folder: Path) -> None:
    """Print the share of the images that the network puts into their class."""
    files = sorted(file for file in folder.glob("[!.]*/[!.]*") if file.is_file())
    if not files:
        sys.exit(f"{folder}: no images; expected a folder of them for each class")
    facts, classify = (_tflite if model.suffix == ".tflite" else _onnx)(model)
    right = 0
    for file in files:
        scores = classify(prepared(file, facts))
        right += facts["classes"][int(scores.argmax())] == file.parent.name
    print(f"{model}: {100 * right / len(files):.2f} % of {len(files):,} images")


def prepared(file: Path, facts: dict) -> np.ndarray:
    """Return the centre of an upright image, resized and normalised; transparent is white."""
    side = int(facts["resolution"])
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    opaque = Image.alpha_composite(white, upright).convert("RGB")
    shorter = min(opaque.size)
    left, top = ((length - shorter) / 2 for length in opaque.size)
    box = (left, top, left + shorter, top + shorter)
    small = opaque.resize((side, side), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(small, np.float32) / 255
    return (pixels - np.float32(facts["mean"])) / np.float32(facts["deviation"])


def _onnx(path: Path) -> tuple[dict, Classify]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # int8 on x86 without VNNI
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    facts = dict(session.get_modelmeta().custom_metadata_map)
    facts |= {name: json.loads(facts[name]) for name in ("mean", "deviation", "classes")}
    name = session.get_inputs()[0].name
    return facts, lambda x: session.run(None, {name: x.transpose(2, 0, 1)[None]})[0][0]


def _tflite(path: Path) -> tuple[dict, Classify]:
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(str(path), num_threads=1)
    network.allocate_tensors()
    (given,), (scores,) = network.get_input_details(), network.get_output_details()

    def classify(x: np.ndarray) -> np.ndarray:
        network.set_tensor(given["index"], x[None])
        network.invoke()
        return network.get_tensor(scores["index"])[0]

    return json.loads(path.with_name(f"{path.name}.json").read_text()), classify


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
