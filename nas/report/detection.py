"""The average precisions of a detector as a table, class by class."""

from collections.abc import Sequence

from nas.report.tables import Table

MAX_CLASSES = 20
"""Of more classes, the terminal shows those with the lowest average precision."""


def precision_table(
    classes: Sequence[str],
    objects: Sequence[int],
    precisions: Sequence[float | None],
    precisions50: Sequence[float | None],
) -> Table:
    """Return the objects and the average precisions, fractions, of each class."""
    few = len(classes) > MAX_CLASSES
    order = sorted(range(len(classes)), key=lambda i: _last_if_unknown(precisions[i]))
    return Table(
        title=f"the {MAX_CLASSES} classes with the lowest average precision, of {len(classes)}"
        if few
        else "average precision by class",
        headings=("class", "objects", "map %", "map50 %"),
        rows=tuple(
            (classes[i], str(objects[i]), _percent(precisions[i]), _percent(precisions50[i]))
            for i in (order[:MAX_CLASSES] if few else range(len(classes)))
        ),
    )


def _last_if_unknown(value: float | None) -> float:
    return 2.0 if value is None else value


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
