"""Image datasets of Hugging Face: a name on the hub, or a path to saved or plain files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile, BadValue, NasError, first_line, unknown
from nas.core.text import printable, shown
from nas.training.data import Images, Source, fingerprint_of
from nas.training.datasets._coco_json import BOXES
from nas.training.datasets._depth import Largest, White, decide
from nas.training.datasets._hf_boxes import boxed, objects_of
from nas.training.datasets._hf_rows import column_of, images_of, open_row
from nas.training.datasets._pictures import check_options, find_bad, from_files
from nas.training.datasets._split import split
from nas.training.datasets._table import Wanted

NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
_KINDS = {"string", "large_string", "bool"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""Types of values that can be classes."""
HASHED = 64
"""Images of a split whose content goes into the fingerprint; the others only count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Rows of one split of the dataset; `labels` has one for each of `rows`."""

    table: Any  # datasets.Dataset, whose images come as they are stored
    image: str
    name: str
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> "_Part":
        """Return the part of these rows."""
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen])

    def open(self, index: int) -> Path | bytes:
        """Return the stored image: its bytes, or the file that the dataset points to."""
        return open_row(self.table, self.image, int(self.rows[index]))

    def images(self, white: White) -> Images:
        """Return the images, which are decoded when they are read."""
        return from_files(self.open, self.places(), self.labels, white)

    def places(self) -> list[str]:
        """Return how messages call the rows."""
        return [f"row {row} of {self.name}" for row in self.rows]


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    path: str,
    config: str = "",
    image: str = "",
    label: str = "",
    objects: str = "",
    boxes: str = "xywh",
    val: float = 0.2,
    max_bad: int = -1,
    check: str = "full",
    depth: int = 0,
    seed: int,
) -> Source:
    """Return a dataset with a column of images and one of class labels, found by their types.

    With a column of objects in its place, of boxes and categories, it is one for detectors; `boxes`
    are "xywh", left, top, width and height, or "xyxy". `image`, `label` and `objects` name the
    columns where several fit; `config` is the hub's. Without a
    validation split, a share `val` of training is taken. What comes from the hub is kept in
    HF_HOME; what was saved with `save_to_disk` needs no network. `depth` is the number of bits that
    images of more than 8 use, 0 what file or data set say.

    Raises:
        NasError: if it cannot be loaded, or has no such columns.
    """
    check_options(check, max_bad, depth)
    tables = _tables(path, config)
    features = tables["train"].features
    image = _column(features, datasets.Image, image, what="image")
    if boxes not in BOXES:
        raise BadValue(f"boxes must be {' or '.join(BOXES)}, not {boxes!r}", "boxes")
    if objects or not (label or any(map(_is_class, features.values()))):
        fields = objects_of(features, objects)
        if fields is not None:
            wanted = Wanted(val=val, test=0, max_bad=max_bad, check=check, depth=depth, seed=seed)
            return boxed(tables, fields, image, wanted, boxes=boxes)
    label = _column(features, datasets.ClassLabel, label, what="label")
    classes = _classes(tables["train"], label)
    parts: dict[str, _Part] = {}
    notes: tuple[str, ...] = ()
    most: tuple[Largest, ...] = ()
    for name, table in tables.items():
        part = _part(table, image=image, label=label, classes=classes, name=name)
        if name == "test" and (part.labels < 0).all():
            notes += ("the test images have no labels: they are not used",)
            continue
        checked = find_bad(part.open, part.places(), check=check, max_bad=max_bad)
        parts[name] = part.take(checked.good)
        notes += checked.notes
        most += checked.largest
    white, said = decide(most, depth)
    if "val" not in parts:
        rest, validation = split(parts["train"].labels, (val,), seed=seed)
        parts |= {"train": parts["train"].take(rest), "val": parts["train"].take(validation)}
    return Source(
        classes=classes,
        train=parts["train"].images(white),
        val=parts["val"].images(white),
        test=parts["test"].images(white) if "test" in parts else None,
        fingerprint=_fingerprint(classes, parts, white),
        notes=(*notes, *said),
    )


def _is_class(feature: Any) -> bool:
    return isinstance(feature, datasets.ClassLabel)


def _tables(path: str, config: str) -> Mapping[str, Any]:
    """Return the dataset's splits by our names."""
    loaded = _load(path, config)
    tables = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    found = {
        ours: tables[name] for ours, names in NAMES.items() for name in names if name in tables
    }
    if "train" not in found:
        there = ", ".join(map(str, tables)) or "none"
        raise NasError(f"hf:{path}: expected a split train, found {there}")
    return found


def _load(path: str, config: str) -> Any:
    folder = Path(path).expanduser()
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))
    try:
        if saved:
            return datasets.load_from_disk(str(folder))
        return datasets.load_dataset(str(folder) if folder.exists() else path, config or None)
    except Exception as error:  # corrupt files make the library raise almost anything
        known = isinstance(error, OSError | ValueError | datasets.exceptions.DatasetsError)
        hint = "" if known else "; is it complete, and not empty?"
        raise BadFile(f"hf:{path} cannot be loaded: {first_line(error)}{hint}") from None


def _column(features: Any, kind: type, wanted: str, *, what: str) -> str:
    """Return the column of this type, or the one that is wanted."""
    if wanted:
        if wanted not in features:
            raise unknown("column", wanted, features)
        return wanted
    found = [str(name) for name, feature in features.items() if isinstance(feature, kind)]
    if len(found) == 1:
        return found[0]
    types = ", ".join(
        f"{printable(str(name), 40)} ({type(feature).__name__})"
        for name, feature in list(features.items())[:8]
    )
    some = f"several columns of type {kind.__name__}" if found else f"no {kind.__name__} column"
    raise NasError(f"hf: found {some} among {types}; name it with {what}=COLUMN")


def _classes(table: Any, label: str) -> tuple[str, ...]:
    feature = table.features[label]
    if isinstance(feature, datasets.ClassLabel):
        return tuple(feature.names or ())
    if not isinstance(feature, datasets.Value) or feature.dtype not in _KINDS:
        kind = getattr(feature, "dtype", type(feature).__name__)
        kind = kind if isinstance(feature, datasets.Value) else type(feature).__name__
        raise NasError(
            f"hf: column {label} holds no classes, but {kind}; name it with label=COLUMN"
        )
    values = {value for value in column_of(table, label) if value is not None}
    if len(values) == table.num_rows > 2:
        raise NasError(
            f"hf: column {label} has another value in each of {table.num_rows} rows, such as "
            f"{shown(min(values), 60)}; is it the column of classes? name it with label=COLUMN"
        )
    return tuple(str(value) for value in sorted(values))


def _part(table: Any, *, image: str, label: str, classes: tuple[str, ...], name: str) -> _Part:
    """Return all rows of a split; a label that is no class becomes -1."""
    images = images_of(table, image, name)
    if label not in table.features:
        raise NasError(f"hf: {name} has no column {label}")
    values = column_of(table, label)
    feature = table.features[label]
    if isinstance(feature, datasets.ClassLabel):
        names = dict(enumerate(feature.names or ()))
        values = [names.get(value) for value in values]  # -1 stands for an unknown label
    known = {text: index for index, text in enumerate(classes)}
    labels = np.array(
        [-1 if value is None else known.get(str(value), -1) for value in values], np.int64
    )
    return _Part(
        table=images,
        image=image,
        name=name,
        rows=np.arange(len(labels)),
        labels=labels,
    )


def _fingerprint(classes: tuple[str, ...], parts: Mapping[str, _Part], white: White) -> str:
    """Return that of classes, rows and labels, and of the content of some images."""
    facts: list[str | bytes] = [*classes, *([f"white {white}"] if white != White() else [])]
    for name, part in sorted(parts.items()):
        facts += [name, part.rows.tobytes(), part.labels.tobytes()]
        for index in np.linspace(0, len(part.rows) - 1, min(len(part.rows), HASHED), dtype=int):
            file = part.open(int(index))
            facts.append(file if isinstance(file, bytes) else file.read_bytes())
    return fingerprint_of(facts)
