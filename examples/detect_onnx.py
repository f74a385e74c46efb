"""Find objects in an image with onnxruntime: python detect_onnx.py model.onnx image.jpg."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def detect(model: str, picture: str) -> list[tuple[str, float, list[float]]]:
    """Return class, probability, and left, top, right and bottom in pixels of the picture."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # int8 on x86 without VNNI
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    mean, deviation, names = (json.loads(facts[k]) for k in ("mean", "deviation", "classes"))
    image, side = (
        ImageOps.exif_transpose(Image.open(picture)).convert("RGB"),
        int(facts["resolution"]),
    )
    pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    given = ((pixels - mean) / deviation).astype(np.float32).transpose(2, 0, 1)[None]
    boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"input": given})
    boxes = boxes * np.tile(image.size, 2) / side
    rows = zip(labels, scores, boxes.tolist(), strict=True)
    return [(names[label], float(score), box) for label, score, box in rows]


if __name__ == "__main__":
    for name, score, box in detect(*sys.argv[1:]):
        print(f"{name} {score:.2f}", *(f"{side:.0f}" for side in box))
