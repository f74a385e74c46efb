"""Quantize a .tflite file by ai-edge-quantizer, in a Python that has it (and not this package).

    PYTHON experiments/int8/edge_quantizer.py FLOAT.tflite IMAGES.npy INT8.tflite

Its recipe `static_wi8_ai8` writes signed bytes, with a scale for each output channel of weights.
`IMAGES.npy` holds normalised images (images, height, width, channels).
"""

import sys

import numpy as np
from ai_edge_quantizer import quantizer, recipe  # type: ignore[import-not-found]  # see above


def main() -> None:
    """Calibrate, quantize and write."""
    source, images, out = sys.argv[1:]
    made = quantizer.Quantizer(source, recipe.static_wi8_ai8())
    given = [{"input": image[None]} for image in np.load(images)]
    ranges = made.calibrate({"serving_default": given})
    made.quantize(ranges).export_model(out, overwrite=True)


if __name__ == "__main__":
    main()
