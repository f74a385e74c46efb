"""Real handwritten digits: the 1,797 of scikit-learn, 8 x 8 pixels; needs no files."""

import numpy as np
from sklearn.datasets import load_digits

from nas.training.data import Source, fingerprint_of
from nas.training.datasets._arrays import from_arrays
from nas.training.datasets._split import split

SHARES = (0.2, 0.2)
"""Validation and test; always the same images, so that results can be compared."""
LARGEST = 16
"""Of a pixel as scikit-learn gives it."""


def create() -> Source:
    """Return the digits (Alpaydin and Kaynak, 1998), upsampled when they are read."""
    digits = load_digits()
    pixels = (digits.images * (255 / LARGEST)).round().astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    train, val, test = (
        from_arrays(pixels[rows], labels[rows]) for rows in split(labels, SHARES, seed=0)
    )
    return Source(
        classes=tuple(str(name) for name in digits.target_names),
        train=train,
        val=val,
        test=test,
        fingerprint=fingerprint_of(["digits", pixels.tobytes(), labels.tobytes()]),
        mirrored=False,
    )
