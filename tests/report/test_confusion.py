"""A confusion matrix in tables and in a picture."""

from pathlib import Path

import numpy as np
import pytest

from nas.report.confusion import MAX_CLASSES, class_table, confusion_table

COUNTS = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
NAMES = ("cat", "dog", "eel")


def test_each_class_has_its_accuracy_and_what_it_is_taken_for() -> None:
    table = class_table(NAMES, COUNTS)
    assert table.rows == (
        ("cat", "10", "80.0", "dog", "2"),
        ("dog", "5", "100.0", "", ""),
        ("eel", "0", "", "", ""),
    )
    matrix = confusion_table(NAMES, COUNTS)
    assert matrix is not None
    assert matrix.headings == ("", *NAMES)
    assert matrix.rows[0] == ("cat", "8", "2", "")


def test_of_many_classes_the_worst_are_shown() -> None:
    count = MAX_CLASSES + 5
    counts = np.diag(np.arange(1, count + 1))
    counts[7, 8] = 90
    table = class_table([f"c{i}" for i in range(count)], counts)
    assert len(table.rows) == MAX_CLASSES
    assert table.rows[0] == ("c7", "98", "8.2", "c8", "90")
    assert table.title == f"the {MAX_CLASSES} classes with the lowest accuracy, of {count}"
    assert confusion_table([f"c{i}" for i in range(count)], counts) is None


def test_the_picture_names_classes_and_counts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from nas.report.confusion_plots import draw_confusion

    draw_confusion(NAMES, COUNTS, [tmp_path / "c.svg", tmp_path / "c.png"], title="a $net$")
    drawn = (tmp_path / "c.svg").read_text()
    assert all(f"<!-- {text} -->" in drawn for text in (*NAMES, "8", "2", "5"))
    assert (tmp_path / "c.png").stat().st_size > 1000
