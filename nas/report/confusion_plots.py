"""The picture of a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.report._drawing import drawing, plain

_INCHES, _INCHES_A_CLASS, _MAX_INCHES = 3.2, 0.28, 16.0
_MAX_NAMES, _MAX_NUMBERS = 60, 25


def draw_confusion(
    classes: Sequence[str], counts: NDArray[np.int64], paths: Sequence[Path], *, title: str
) -> None:
    """Draw a confusion matrix into PNG or SVG files: the share of each class by answer.

    `counts` has a row for each class and a column for each answer.
    """
    side = min(_INCHES + _INCHES_A_CLASS * len(classes), _MAX_INCHES)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with drawing(paths, side + 0.8, side) as (figure, axes):
        image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
        figure.colorbar(image, label="% of the class", shrink=0.8)
        axes.set_xlabel("answer")
        axes.set_ylabel("class")
        axes.set_title(plain(title), fontsize=9)
        if len(classes) <= _MAX_NAMES:
            names = [plain(name) for name in classes]
            axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(classes)), names, fontsize=7)
        if len(classes) <= _MAX_NUMBERS:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    dark = "white" if shares[row, column] > 1 / 2 else "black"
                    axes.text(column, row, str(count), ha="center", va="center",
                              fontsize=6, color=dark)  # fmt: skip
