"""Average precisions in a table, and boxes in a picture."""

from pathlib import Path

import numpy as np
import pytest

from nas.report.detection import MAX_CLASSES, precision_table


def test_each_class_has_its_objects_and_precisions() -> None:
    table = precision_table(("cat", "dog", "eel"), (3, 5, 0), (0.5, 0.0, None), (0.75, 0.123, None))
    assert table.rows == (
        ("cat", "3", "50.0", "75.0"),
        ("dog", "5", "0.0", "12.3"),
        ("eel", "0", "", ""),
    )


def test_of_many_classes_the_worst_are_shown() -> None:
    count = MAX_CLASSES + 5
    values: list[float | None] = [1 - i / 100 for i in range(count)]
    values[-1] = None
    table = precision_table([f"c{i}" for i in range(count)], [1] * count, values, values)
    assert len(table.rows) == MAX_CLASSES
    assert table.rows[0][0] == f"c{count - 2}"
    assert table.title == f"the {MAX_CLASSES} classes with the lowest average precision, of {count}"


@pytest.mark.torch
def test_the_picture_names_what_is_found(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    from nas.report.detection_plots import draw_examples
    from nas.training.detection.examples import DrawnBoxes, Example

    box = np.array([[0.1, 0.2, 0.5, 0.6]], np.float32)
    shown = [
        Example(
            pixels=np.zeros((3, 32, 32), np.uint8),
            size=(64, 48),
            objects=DrawnBoxes(corners=box, labels=[0]),
            found=DrawnBoxes(corners=box.repeat(2, 0), labels=[1, 0], scores=[0.91, 0.01]),
        )
        for _ in range(3)
    ]
    paths = [tmp_path / "p.svg", tmp_path / "p.png"]
    draw_examples(shown, ("cat", "dog"), paths, title="some")
    text = paths[0].read_text(encoding="utf-8")
    assert text.count("<!-- dog 0.91 -->") == 3
    assert text.count("<!-- cat -->") == 3, "a box of a low score is not drawn"
    assert paths[1].stat().st_size > 0
    again = tmp_path / "q.svg"
    draw_examples(shown, ("cat", "dog"), [again], title="some")
    assert again.read_bytes() == paths[0].read_bytes()
