"""What `nas eval` and `nas train` keep in a training folder, as parts of its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nas.core import strict_json
from nas.core.data import read_mapping
from nas.core.errors import NasError
from nas.core.files import write_text
from nas.core.run_folder import reporting_damage
from nas.report.confusion import class_table, confusion_table
from nas.report.detection import precision_table
from nas.report.page import Part
from nas.report.tables import Table

PREDICTIONS = "predictions.png"
"""What a detector finds in some validation images."""
SPLITS = ("val", "test")
EVALUATIONS = tuple(f"eval-{split}.json" for split in SPLITS)
"""The scores of the best epoch on the validation and the test images, class by class."""


def store_evaluation(folder: Path, document: Mapping[str, Any]) -> None:
    """Keep what `nas eval` found in the training folder, for its page.

    Raises:
        BadFile: if that is not possible.
    """
    text = strict_json.dumps(document, indent=1) + "\n"
    write_text(folder / f"eval-{document['split']}.json", text)


def evaluation_parts(folder: Path) -> tuple[Part, ...]:
    """Return a part for each evaluation that a folder keeps."""
    return tuple(_part(folder / name) for name in EVALUATIONS if (folder / name).is_file())


def _part(path: Path) -> Part:
    try:
        with reporting_damage(path):
            return _read(read_mapping(path))
    except NasError as error:
        return Part(heading="Class by class", texts=(f"left aside: {error}",))


def _read(found: Mapping[str, Any]) -> Part:
    images = {"val": "validation", "test": "test"}[found["split"]]
    heading = f"Class by class, on the {images} images"
    many = f"{int(found['images']):,} images of {found['data']}"
    names = [str(one["name"]) for one in found["classes"]]
    if "confusion" not in found:
        every, half = ([one[key] for one in found["classes"]] for key in ("map", "map50"))
        objects = [int(one["objects"]) for one in found["classes"]]
        table = precision_table(names, objects, every, half)
        text = f"map {100 * found['map']:.2f} %, map50 {100 * found['map50']:.2f} %; {many}."
        return _with(heading, text, table)
    counts = np.array(found["confusion"], dtype=np.int64).reshape(len(names), len(names))
    text = f"top1 {100 * found['top1']:.2f} %, loss {found['loss']:.4f}; {many}."
    table = class_table(names, counts)
    if matrix := confusion_table(names, counts):
        answers = tuple(f"as {name}" for name in names)
        rows = tuple((*row, *own[1:]) for row, own in zip(table.rows, matrix.rows, strict=True))
        table = Table(title="", headings=(*table.headings, *answers), rows=rows)
    return _with(heading, text, table)


def _with(heading: str, text: str, table: Table) -> Part:
    texts = (text, f"Shown: {table.title}.") if table.title.startswith("the ") else (text,)
    return Part(heading=heading, texts=texts, headings=table.headings, rows=table.rows)
