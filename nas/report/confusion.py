"""A confusion matrix as tables: accuracy class by class, and what is taken for what."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.report.tables import Table

MAX_CLASSES = 20
"""Of more classes, the terminal shows those with the lowest accuracy."""
MAX_COLUMNS = 12
"""Of more classes, the matrix is left to the picture and JSON."""


def class_table(classes: Sequence[str], counts: NDArray[np.int64]) -> Table:
    """Return the accuracy of each class, and the class that it is most often taken for.

    `counts` has a row for each class and a column for each answer.
    """
    images, right = counts.sum(axis=1), counts.diagonal()
    share = np.where(images > 0, right / np.maximum(images, 1), 2.0)
    wrong = counts - np.diag(right)
    few = len(classes) > MAX_CLASSES
    order = np.argsort(share, kind="stable")[:MAX_CLASSES] if few else range(len(classes))
    return Table(
        title=f"the {MAX_CLASSES} classes with the lowest accuracy, of {len(classes)}"
        if few
        else "accuracy by class",
        headings=("class", "images", "top1 %", "taken for", "times"),
        rows=tuple(
            (
                classes[i],
                str(images[i]),
                f"{100 * share[i]:.1f}" if images[i] else "",
                classes[int(wrong[i].argmax())] if wrong[i].any() else "",
                str(wrong[i].max()) if wrong[i].any() else "",
            )
            for i in map(int, order)
        ),
    )


def confusion_table(classes: Sequence[str], counts: NDArray[np.int64]) -> Table | None:
    """Return the confusion matrix, a row for each class; None where it has too many columns."""
    if len(classes) > MAX_COLUMNS:
        return None
    return Table(
        title="confusion matrix: a row for each class, a column for each answer",
        headings=("", *classes),
        rows=tuple(
            (name, *(str(n) if n else "" for n in row))
            for name, row in zip(classes, counts.tolist(), strict=True)
        ),
    )
