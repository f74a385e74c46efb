"""Image datasets of Hugging Face: a name on the hub, or a path to saved or plain files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from nas.errors import BadFile, NasError, unknown
from nas.nn.data import Images, Source, fingerprint_of
from nas.nn.datasets._pictures import check_options, find_bad, from_files
from nas.nn.datasets._split import split

NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
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
        stored = self.table[int(self.rows[index])][self.image] or {}
        content: bytes | None = stored.get("bytes")
        if content is not None:
            return content
        if stored.get("path") is None:
            raise OSError("there is no image in this row")
        return Path(stored["path"])

    def images(self) -> Images:
        """Return the images, which are decoded when they are read."""
        return from_files(self.open, self.places(), self.labels)

    def places(self) -> list[str]:
        """Return how messages call the rows."""
        return [f"row {row} of {self.name}" for row in self.rows]


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    path: str,
    config: str = "",
    image: str = "",
    label: str = "",
    val: float = 0.2,
    max_bad: int = -1,
    check: str = "full",
    seed: int,
) -> Source:
    """Return a dataset with a column of images and one of class labels, found by their types.

    `image` and `label` name the columns where several fit; `config` is the hub's. Without a
    validation split, a share `val` of training is taken. What comes from the hub lies where the
    environment says (HF_HOME); what has been saved with `save_to_disk` needs no network.

    Raises:
        NasError: if it cannot be loaded, or has no such columns.
    """
    check_options(check, max_bad)
    tables = _tables(path, config)
    features = tables["train"].features
    image = _column(features, datasets.Image, image, what="image")
    label = _column(features, datasets.ClassLabel, label, what="label")
    classes = _classes(tables["train"], label)
    parts: dict[str, _Part] = {}
    notes: tuple[str, ...] = ()
    for name, table in tables.items():
        part = _part(table, image=image, label=label, classes=classes, name=name)
        if name == "test" and (part.labels < 0).all():
            notes += ("the test images have no labels: they are not used",)
            continue
        good, bad = find_bad(part.open, part.places(), check=check, max_bad=max_bad)
        parts[name] = part.take(good)
        notes += bad
    if "val" not in parts:
        rest, validation = split(parts["train"].labels, (val,), seed=seed)
        parts |= {"train": parts["train"].take(rest), "val": parts["train"].take(validation)}
    return Source(
        classes=classes,
        train=parts["train"].images(),
        val=parts["val"].images(),
        test=parts["test"].images() if "test" in parts else None,
        fingerprint=_fingerprint(classes, parts),
        notes=notes,
    )


def _tables(path: str, config: str) -> Mapping[str, Any]:
    """Return the dataset's splits by our names."""
    loaded = _load(path, config)
    tables = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    found = {
        ours: tables[name] for ours, names in NAMES.items() for name in names if name in tables
    }
    if "train" not in found:
        raise NasError(f"hf:{path}: expected a split train, found {', '.join(tables) or 'none'}")
    return found


def _load(path: str, config: str) -> Any:
    folder = Path(path).expanduser()
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))
    try:
        if saved:
            return datasets.load_from_disk(str(folder))
        return datasets.load_dataset(str(folder) if folder.exists() else path, config or None)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        text = str(error).partition("\n")[0] or type(error).__name__
        raise BadFile(f"hf:{path} cannot be loaded: {text}") from None


def _column(features: Any, kind: type, wanted: str, *, what: str) -> str:
    """Return the column of this type, or the one that is wanted."""
    if wanted:
        if wanted not in features:
            raise unknown("column", wanted, features)
        return wanted
    found = [str(name) for name, feature in features.items() if isinstance(feature, kind)]
    if len(found) == 1:
        return found[0]
    types = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
    some = f"several columns of type {kind.__name__}" if found else f"no {kind.__name__} column"
    raise NasError(f"hf: found {some} among {types}; name it with {what}=COLUMN")


def _classes(table: Any, label: str) -> tuple[str, ...]:
    feature = table.features[label]
    if isinstance(feature, datasets.ClassLabel):
        return tuple(feature.names)
    if isinstance(feature, datasets.Value):
        return tuple(str(value) for value in sorted(table.unique(label)))
    raise NasError(f"hf: column {label} holds no classes, but {type(feature).__name__}")


def _part(table: Any, *, image: str, label: str, classes: tuple[str, ...], name: str) -> _Part:
    """Return all rows of a split; a label that is no class becomes -1."""
    if not isinstance(table.features.get(image), datasets.Image):
        raise NasError(f"hf: column {image} of {name} holds no images")
    values = table.with_format("arrow")[label][:].to_pylist()
    feature = table.features[label]
    if isinstance(feature, datasets.ClassLabel):
        values = [None if value is None or value < 0 else feature.names[value] for value in values]
    known = {text: index for index, text in enumerate(classes)}
    labels = np.array([known.get(str(value), -1) for value in values], np.int64)
    return _Part(
        table=table.select_columns([image]).cast_column(image, datasets.Image(decode=False)),
        image=image,
        name=name,
        rows=np.arange(len(labels)),
        labels=labels,
    )


def _fingerprint(classes: tuple[str, ...], parts: Mapping[str, _Part]) -> str:
    """Return that of classes, rows and labels, and of the content of some images."""
    facts: list[str | bytes] = [*classes]
    for name, part in sorted(parts.items()):
        facts += [name, part.rows.tobytes(), part.labels.tobytes()]
        for index in np.linspace(0, len(part.rows) - 1, min(len(part.rows), HASHED), dtype=int):
            file = part.open(int(index))
            facts.append(file if isinstance(file, bytes) else file.read_bytes())
    return fingerprint_of(facts)
