"""The space of a run: its folder keeps the file, for a version that has another of the name."""

import logging
from pathlib import Path
from typing import Any

from nas.core.data import bundled, exists, find, is_path, to_yaml
from nas.core.files import read_text, write_text
from nas.core.run_folder import read_lines
from nas.searching.journal import JOURNAL
from nas.space.file import load_space
from nas.space.mapping import to_mapping
from nas.space.space import Space

logger = logging.getLogger(__name__)

SPACE = "space.yaml"


def named_space(name: str, choices: str | None) -> Space:
    """Return the space `name`, or the bundled one of these `choices` where that is another.

    `choices` is the fingerprint that a run of an earlier version was begun with: a bundled space
    may have had another name then.
    """
    named = load_space(name)
    if choices in (None, named.fingerprint) or is_path(name):
        return named
    for other in map(load_space, bundled("search_spaces")):
        if other.fingerprint == choices:
            logger.warning("the space of this run, %s, is called %s now", name, other.name)
            return other
    return named


def stored_space(folder: Path) -> Space | None:
    """Return the space that a run folder keeps; None where it keeps none."""
    kept = folder / SPACE
    return load_space(kept) if kept.is_file() else None


def space_of(name: str, folder: Path | None) -> Space:
    """Return the space `name` for a run in `folder`: the one that it was begun in, if it was.

    A user's own file counts as it is now, so that a change of it is noticed as another search.

    Raises:
        NasError: if there is no such space, or a file is malformed.
    """
    own = is_path(name) and exists(Path(name))
    if folder is None or own or not (folder / JOURNAL).is_file():
        return load_space(name)
    if kept := stored_space(folder):
        return kept
    header: Any = next(iter(read_lines(folder / JOURNAL)), {})
    return named_space(name, header.get("choices"))


def store_space(name: str, space: Space, folder: Path) -> None:
    """Copy the file of the `space` that was called `name` into a run folder that lacks it."""
    if not (folder / SPACE).is_file():
        same = is_path(name) or load_space(name).fingerprint == space.fingerprint
        path = find("search space", name if same else space.name, where="search_spaces")
        write_text(folder / SPACE, read_text(path))


def store_given_space(space: Space, folder: Path) -> None:
    """Write a space that was given as an object into a run folder that lacks it."""
    if not (folder / SPACE).is_file():
        write_text(folder / SPACE, to_yaml(to_mapping(space)))
