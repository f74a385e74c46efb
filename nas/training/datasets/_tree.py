"""Find image files under folders: none twice, nothing hidden, with notes on what is left out."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas.core.errors import BadFile
from nas.core.text import few
from nas.training.datasets._pictures import SUFFIXES

_HIDDEN = (".", "__")
"""Prefixes of names that no user chose: .ipynb_checkpoints, .Trash-0, __MACOSX."""


@dataclass(slots=True, kw_only=True)
class Tree:
    """A walk through the folders under `root`, and what it leaves out.

    A folder is known by device and inode, so that no link leads to it twice or back.
    """

    root: Path
    seen: set[tuple[int, int]] = field(default_factory=set)
    hidden: list[Path] = field(default_factory=list)
    hidden_images: int = 0
    again: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    others: dict[Path, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let no link lead to the root, or to a folder that it lies in."""
        whole = self.root.resolve()
        for folder in (whole, *whole.parents):
            self.enter(folder)

    def enter(self, folder: Path) -> bool:
        """Tell whether a folder is met for the first time."""
        try:
            found = folder.stat()
        except OSError as error:
            raise _unreadable(folder, error) from None
        new = (found.st_dev, found.st_ino) not in self.seen
        self.seen.add((found.st_dev, found.st_ino))
        return new

    def folders(self, folder: Path) -> tuple[Path, ...]:
        """Return the folders in `folder` that are to be read, sorted; links are entered last."""
        entries = [Path(entry.path) for entry in _scanned(folder)]
        folders = [path for path in entries if path.is_dir()]
        self._hide(path for path in folders if path.name.startswith(_HIDDEN))
        shown = [path for path in entries if not path.name.startswith(_HIDDEN)]
        self.strays += [path for path in shown if not path.is_dir()]
        there = [path for path in shown if path.is_dir()]
        in_order = sorted(there, key=lambda path: (path.is_symlink(), path))
        return tuple(sorted(path for path in in_order if self._is_new(path)))

    def images(self, folders: Sequence[Path]) -> list[list[Path]]:
        """Return the image files at any depth of each of `folders`, sorted.

        Links to folders are followed after all else: what lies in its own place is found there.
        """
        found: list[list[Path]] = [[] for _ in folders]
        waiting = [(folder, number) for number, folder in enumerate(folders)]
        while waiting:
            links: list[tuple[Path, int]] = []
            for start, number in waiting:
                inside = self._walk(start, folders[number], found[number])
                links += [(path, number) for path in inside]
            waiting = [(path, number) for path, number in links if self._is_new(path)]
        return [sorted(files) for files in found]

    def _walk(self, start: Path, owner: Path, files: list[Path]) -> list[Path]:
        """Add the images under `start` to `files`, and return the links to folders."""
        links, folders = [], [start]
        while folders:
            for entry in _scanned(folders.pop()):
                path = Path(entry.path)
                if entry.name.startswith(_HIDDEN):
                    self._hide([path] if entry.is_dir() else [])
                elif entry.is_dir():
                    if entry.is_symlink():
                        links.append(path)
                    elif self._is_new(path):
                        folders.append(path)
                elif path.suffix.lower() in SUFFIXES and not _is_special(entry):
                    files.append(path)
                else:
                    self.others.setdefault(owner, Counter())[path.suffix.lower() or path.name] += 1
        return links

    def _is_new(self, path: Path) -> bool:
        """Enter a folder, and note it where it is met again."""
        new = self.enter(path)
        if not new:
            self.again.append(path)
        return new

    def _hide(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            images = sum(
                Path(name).suffix.lower() in SUFFIXES
                for _, _, names in os.walk(folder)
                for name in names
            )
            if images:
                self.hidden.append(folder)
                self.hidden_images += images

    def notes(self) -> tuple[str, ...]:
        """Return a line for each kind of thing that was left out."""
        kinds = sum(self.others.values(), Counter[str]())
        again = "folders that are read elsewhere, or that a link leads back to"
        left_out = (
            ("images in hidden folders", self.hidden_images, self._some(self.hidden)),
            (again, len(self.again), self._some(self.again)),
            ("files that lie in no class", len(self.strays), self._some(self.strays)),
            ("files that are no images of a known kind", kinds.total(), counted(kinds)),
        )
        return tuple(f"skipped {what} ({many}): {which}" for what, many, which in left_out if many)

    def _some(self, paths: Sequence[Path]) -> str:
        return few([path.relative_to(self.root).as_posix() for path in paths])


def counted(kinds: Counter[str]) -> str:
    """Return how many files there are of each kind, as in "12 .heic, 1 .txt"."""
    some = ", ".join(f"{many} {kind}" for kind, many in kinds.most_common(5))
    return some + (" and others" if len(kinds) > 5 else "")


def _scanned(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: OSError) -> BadFile:
    why = error.strerror or error
    return BadFile(f"{folder}: {why}; expected a folder with a folder for each class")


def _is_special(entry: "os.DirEntry[str]") -> bool:
    """Tell whether an entry is a pipe or a device, which would be waited for."""
    return not entry.is_file() and os.path.exists(entry.path)  # a link to nothing is a bad image
