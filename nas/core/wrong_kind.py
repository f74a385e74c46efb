"""Recognise what a user gave by mistake: a table instead of a space, a folder instead of a file."""

from collections.abc import Mapping
from pathlib import Path

from nas.core.data import bundled, exists, read_mapping
from nas.core.errors import BadFile, NasError, UnknownName
from nas.core.run_folder import kind_of

SPACE, TABLE, ARCHITECTURE = "a search space", "a latency table", "an architecture"
_FOLDERS = {"search_spaces": SPACE, "latency_tables": TABLE, "architectures": ARCHITECTURE}
_GIVE = {
    SPACE: "give the name of a space (nas list spaces) or its YAML file",
    TABLE: "give the name of a table (nas list tables), or the file that nas latency measure made",
    ARCHITECTURE: "give the name of an architecture (nas list architectures), its YAML file, or "
    "RUN_DIR:best",
}


def wrong_kind_error(error: NasError, text: str, wanted: str) -> NasError:
    """Return an error that says what `text` is instead of `wanted`, or `error` if unknown."""
    found = kind_of_input(text)
    if found is None or found == wanted:
        return error
    return UnknownName(f"{text} is {found}, not {wanted}; {_GIVE[wanted]}")


def kind_of_input(text: str) -> str | None:
    """Return what `text` names, as in "a latency table"; None if unknown."""
    path = Path(text)
    if exists(path) and path.is_dir():
        kind = kind_of(path)
        return kind.text if kind else "a folder"
    for folder, name in _FOLDERS.items():
        if text in bundled(folder):
            return name
    try:
        return _of_content(read_mapping(path)) if exists(path) else None
    except BadFile:
        return None


def _of_content(content: Mapping[str, object]) -> str | None:
    """Return what the content of a YAML or JSON file describes; None if unknown."""
    if "device" in content and ("entries" in content or "model" in content):
        return TABLE
    if "latency_table" in content:
        return "the settings of a run"
    stages = content.get("stages")
    if not isinstance(stages, list) or "head" not in content:
        return None
    return ARCHITECTURE if all(isinstance(stage, list) for stage in stages) else SPACE
