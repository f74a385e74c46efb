"""Check the labels of a dataset by its task, and note what is uneven about them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile, NasError
from nas.core.text import few
from nas.training.objects import Labels, Objects

TASKS = ("classification", "detection")
BOXED = "coco:PATH, yolo:PATH, voc:PATH or digits_scenes"
LABELLED = "imagefolder:PATH, csv:PATH, hf:NAME or digits"
"""Datasets for a task, where a message says what to use instead."""
IMBALANCE = 3.0
"""Ratio of the largest class to the smallest from which a note says so."""
MAX_OBJECTS = 10_000
"""Objects of one image; a batch has room for as many in each of its images."""
_SPLITS = {"val": "validation", "test": "test"}

Splits = Mapping[str, Labels]
"""The labels of "train", "val" and, where there are such images, "test"."""


def check_labels(name: str, task: str, classes: tuple[str, ...], splits: Splits) -> None:
    """Refuse labels that cannot be trained on.

    Raises:
        NasError: saying what was found, and what is needed.
    """
    if task not in TASKS:
        raise NasError(f"{name}: the task is {task}; expected one of {', '.join(TASKS)}")
    kind = Objects if task == "detection" else np.ndarray
    for split, labels in splits.items():
        if not isinstance(labels, kind):
            found = type(labels).__name__
            raise NasError(f"{name}: labels of {split} are {found}, which do not fit {task}")
    _check_classes(name, task, classes)
    for split, labels in splits.items():
        if len(labels) == 0:
            raise NasError(f"{name}: there are no images in {split}")
        _check_range(name, split, _flat(labels), len(classes))
    check = _check_objects if task == "detection" else _check_every_class
    check(name, classes, splits)


def label_notes(classes: tuple[str, ...], splits: Splits) -> tuple[str, ...]:
    """Return notes on classes that are rare, or are missing in a split; on images without any."""
    counts = _counts(splits["train"], len(classes))
    kind = "objects" if isinstance(splits["train"], Objects) else "images"
    notes = [*_empty(splits), *_untrained(classes, counts), *_imbalance(classes, counts, kind)]
    for split, called in _SPLITS.items():
        there = _counts(splits[split], len(classes)) if split in splits else counts
        missing = [classes[i] for i in np.flatnonzero((there == 0) & (counts > 0))]
        if missing:
            notes.append(f"no {called} {kind} of {few(missing)}: mistakes there do not show")
    return tuple(notes)


def check_kind(name: str, found: str, task: str) -> None:
    """Refuse a dataset for another task.

    Raises:
        NasError: it names datasets that fit.
    """
    if found == task:
        return
    if task == "detection":
        has, needs = "labels of whole images", f"a detector needs boxes: {BOXED}"
    else:
        has, needs = "boxes", f"a classifier needs a label for each image: {LABELLED}"
    raise NasError(f"{name} has {has}; {needs}")


def _flat(labels: Labels) -> NDArray[np.int64]:
    return labels.labels if isinstance(labels, Objects) else labels


def _counts(labels: Labels, classes: int) -> NDArray[np.int64]:
    """Return the number of images, or of objects that count, of every class."""
    counted = labels.labels[~labels.crowd] if isinstance(labels, Objects) else labels
    return np.bincount(counted, minlength=classes)


def _check_classes(name: str, task: str, classes: tuple[str, ...]) -> None:
    if task == "detection" and not classes:
        raise NasError(f"{name}: found no classes; a detector needs boxes of one or more")
    if task == "classification" and len(classes) < 2:
        found = f"one class only ({classes[0]})" if classes else "no classes"
        raise NasError(f"{name}: found {found}; a classifier needs images of two or more")


def _check_range(name: str, split: str, labels: NDArray[np.int64], count: int) -> None:
    outside = labels[(labels < 0) | (labels >= count)]
    if len(outside):
        raise BadFile(
            f"{name}: {len(outside)} labels of {split} are outside of 0..{count - 1}, "
            f"the first is {outside[0]}; unlabelled images cannot be used"
        )


def _check_every_class(name: str, classes: tuple[str, ...], splits: Splits) -> None:
    counts = _counts(splits["train"], len(classes))
    if (counts == 0).any():
        empty = [classes[index] for index in np.flatnonzero(counts == 0)]
        raise NasError(f"{name}: no training images of {few(empty)}; add some, or remove the class")


def _check_objects(name: str, classes: tuple[str, ...], splits: Splits) -> None:
    """Refuse a split without any box to learn or to find, and images of far too many."""
    for split, labels in splits.items():
        assert isinstance(labels, Objects)
        if not _counts(labels, len(classes)).sum():
            crowds = f" but {len(labels.labels)} of crowds" if len(labels.labels) else ""
            raise NasError(
                f"{name}: there are no boxes in the {len(labels)} images of {split}{crowds}; "
                "a detector needs some in each split"
            )
        most = int(labels.counts.max())
        if most > MAX_OBJECTS:
            raise NasError(
                f"{name}: image {int(labels.counts.argmax())} of {split} has {most:,} boxes, more "
                f"than {MAX_OBJECTS:,}; cut it into parts, or remove it"
            )


def _empty(splits: Splits) -> list[str]:
    """Return a note on images without objects, which teach what is background."""
    empty = {
        split: int((labels.counts == 0).sum())
        for split, labels in splits.items()
        if isinstance(labels, Objects)
    }
    said = ", ".join(f"{count} of {split}" for split, count in empty.items() if count)
    return [f"images without objects: {said}"] if said else []


def _untrained(classes: tuple[str, ...], counts: NDArray[np.int64]) -> list[str]:
    missing = [classes[index] for index in np.flatnonzero(counts == 0)]
    return [f"no training objects of {few(missing)}: they are never found"] if missing else []


def _imbalance(classes: tuple[str, ...], counts: NDArray[np.int64], kind: str) -> list[str]:
    there = np.where(counts > 0, counts, counts.max())
    least, most = int(there.argmin()), int(counts.argmax())
    ratio = counts[most] / counts[least]
    if ratio < IMBALANCE:
        return []
    return [
        f"classes are imbalanced {ratio:.3g} to 1: {counts[most]} training {kind} of "
        f"{classes[most]}, {counts[least]} of {classes[least]}",
    ]
