"""Find objects in an image with LiteRT: python detect_litert.py model.tflite image.jpg.

`nas export` writes model.tflite.json, which is read here, beside model.tflite.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


def detect(model: str, picture: str) -> list[tuple[str, float, list[float]]]:
    """Return class, probability, and left, top, right and bottom in pixels of the picture."""
    facts = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    image, side = (
        ImageOps.exif_transpose(Image.open(picture)).convert("RGB"),
        int(facts["resolution"]),
    )
    pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    given = ((pixels - facts["mean"]) / facts["deviation"]).astype(np.float32)[None]
    found = Interpreter(model_path=model).get_signature_runner()(input=given)
    count = int(found["count"][0])
    boxes = found["boxes"][0, :count] * np.tile(image.size, 2) / side
    labels = found["labels"][0, :count].astype(int)
    rows = zip(labels, found["scores"][0, :count], boxes.tolist(), strict=True)
    return [(facts["classes"][label], float(score), box) for label, score, box in rows]


if __name__ == "__main__":
    for name, score, box in detect(*sys.argv[1:]):
        print(f"{name} {score:.2f}", *(f"{side:.0f}" for side in box))
