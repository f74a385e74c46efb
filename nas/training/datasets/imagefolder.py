"""Folders of images, one for each class, under train/ and val/ or split by seed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas.core.errors import BadFile, NasError
from nas.core.text import few
from nas.training.data import Source
from nas.training.datasets._pictures import SUFFIXES, check_options
from nas.training.datasets._table import Table, Wanted, source_of
from nas.training.datasets._tree import Tree, counted

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of folders that are splits, in small or capital letters."""


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    path: str,
    val: float = 0.2,
    test: float = 0.0,
    max_bad: int = -1,
    check: str = "full",
    depth: int = 0,
    seed: int,
) -> Source:
    """Return the images under `path`, in class folders or in train/ and val/ with class folders.

    Without val/, a share `val` of every class is taken for validation; without test/, a share
    `test` for testing. Up to `max_bad` images that cannot be decoded are skipped (-1: 1 %, at
    least 10). To find them everything is decoded once; `check=header` only looks at the headers.
    `depth` is the number of bits that images of more than 8 use, 0 what file or data set say.

    Raises:
        BadFile: if there is no such folder, or it holds no classes, or too many bad images.
    """
    check_options(check, max_bad, depth)
    root = Path(path).expanduser().absolute()  # workers may be in another folder
    tree = Tree(root=root)
    top = tree.folders(root)
    table, notes = _table(tree, top)
    wanted = Wanted(val=val, test=test, max_bad=max_bad, check=check, depth=depth, seed=seed)
    return source_of(table, wanted, (*notes, *tree.notes()))


def _table(tree: Tree, top: Sequence[Path]) -> tuple[Table, tuple[str, ...]]:
    """Return the images of all splits, and notes on folders that are no splits.

    A folder called train that holds images itself is a class: there are data sets of vehicles.
    Without any split, all folders of the root are classes.
    """
    named = _named(top)
    inner = {name: tree.folders(folder) for name, folder in named.items() if _has_folders(folder)}
    if not inner:
        return _labelled(tree, {"train": tree.root}, {"train": tuple(top)}), _alike(top)
    if "train" not in inner:
        there = ", ".join(f"{named[name].name}/" for name in inner)
        raise BadFile(f"{tree.root}: found {there} but no train/ with folders of classes in it")
    notes = [note for name, at in named.items() if name not in inner for note in _flat(at, name)]
    rest = [folder.name for folder in top if folder not in named.values()]
    if rest:
        notes.append(f"skipped folders beside train/ ({len(rest)}): {few(rest)}")
    folders = {name: named[name] for name in inner}
    return _labelled(tree, folders, inner), (*notes, *_alike(inner["train"]))


def _named(top: Sequence[Path]) -> Mapping[str, Path]:
    """Return the folders with the name of a split, by split."""
    found: dict[str, Path] = {}
    for name, names in SPLITS.items():
        called = [folder for folder in top if folder.name.lower() in names]
        full = [folder for folder in called if _has_folders(folder)]
        if len(full) > 1:
            both = " and ".join(f"{folder.name}/" for folder in full)
            raise BadFile(f"{full[0].parent}: found {both}, which are one split; leave one of them")
        if called:
            found[name] = (full or called)[0]
    return found


def _has_folders(folder: Path) -> bool:
    try:
        return any(
            path.is_dir() and not path.name.startswith((".", "__")) for path in folder.iterdir()
        )
    except OSError as error:
        raise BadFile(f"{folder}: {error.strerror or error}") from None


def _flat(folder: Path, name: str) -> list[str]:
    """Return the note on a split's folder without class folders; refuse one of val images."""
    loose = _loose(folder)
    if loose and name == "val":
        raise BadFile(
            f"{folder}: found {loose} images, but no folders of classes as in train/; sort them "
            "into such folders, or move it away to have a share of train/ taken for validation"
        )
    return [f"{folder.name}/ has no folders of classes: its {loose} images are not used"]


def _labelled(tree: Tree, splits: Mapping[str, Path], inner: Mapping[str, Sequence[Path]]) -> Table:
    """Return the images of all splits, with the labels of the training classes."""
    folders = [(name, folder) for name in splits for folder in inner[name]]
    images = tree.images([folder for _, folder in folders])
    classes = tuple(folder.name for folder in inner["train"])
    rows = [
        (file, _label(folder, classes), name)
        for (name, folder), files in zip(folders, images, strict=True)
        for file in files
    ]
    if not rows:
        raise BadFile(f"{splits['train']}: {_nothing(tree, splits['train'], classes)}")
    train = [files for (name, _), files in zip(folders, images, strict=True) if name == "train"]
    _check_classes(tree, inner["train"], train)
    paths, labels, names = zip(*rows, strict=True)
    return Table(
        classes=classes,
        files=paths,
        names=tuple(file.relative_to(tree.root).as_posix() for file in paths),
        labels=np.array(labels, np.int64),
        splits=np.array(names),
    )


def _label(folder: Path, classes: tuple[str, ...]) -> int:
    if folder.name in classes:
        return classes.index(folder.name)
    raise NasError(
        f"{folder}: class {folder.name} has no training images; found the classes {few(classes, 5)}"
    )


def _check_classes(tree: Tree, folders: Sequence[Path], images: Sequence[list[Path]]) -> None:
    """Refuse classes whose files are all of unknown kinds, and a level of folders too many."""
    for folder, files in zip(folders, images, strict=True):
        if not files and folder in tree.others:
            raise BadFile(
                f"{folder}: class {folder.name} has no images of a known kind, but "
                f"{counted(tree.others[folder])}; convert them to JPEG or PNG, or remove the class"
            )
    if len(folders) == 1:
        inside = sorted({file.relative_to(folders[0]).parts[0] for file in images[0]})
        hint = next((name for name in inside if (folders[0] / name).is_dir()), None)
        if hint:
            raise BadFile(
                f"{tree.root}: found one class only ({folders[0].name}), and in it {hint}/; "
                f"did you mean {folders[0]}?"
            )


def _alike(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return a note on classes whose names differ in case only."""
    by_name = defaultdict(list)
    for folder in folders:
        by_name[folder.name.casefold()].append(folder.name)
    same = [" and ".join(names) for names in by_name.values() if len(names) > 1]
    return (f"classes differ in capital letters only: {few(same)}",) if same else ()


def _loose(folder: Path) -> int:
    return sum(file.suffix.lower() in SUFFIXES for file in folder.iterdir())


def _nothing(tree: Tree, folder: Path, classes: tuple[str, ...]) -> str:
    if classes:
        some = ", ".join(SUFFIXES[:5])
        others = sum(tree.others.values(), Counter[str]())
        found = f"; found {counted(others)}, to be converted to one of these" if others else ""
        return f"no images ({some} ...) in its {len(classes)} folders{found}"
    loose = _loose(folder)
    what = f"{loose} images, but no folders" if loose else "nothing"
    return f"found {what}; expected a folder for each class, with its images in it"
