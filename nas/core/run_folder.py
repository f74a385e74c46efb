"""Run folders: of a search, a training, a pruning, a scaling search, a pipeline.

Every command writes a folder that is recognised by one of its files. This module tells the kinds
apart, checks whether a command may start or resume in a folder, and finds a folder's network.
"""

import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.core.data import read_mapping
from nas.core.errors import BadFile, RunError, UnknownName
from nas.core.files import read_bytes
from nas.core.jsonl import parse
from nas.core.storage import is_url, split_name
from nas.core.text import shown

RUN = "run.yaml"
"""The settings of a search, and of NetAdapt."""
BEST = "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of run folder.

    `text` says what such a folder is, `word` names what it holds, `command` creates and resumes it,
    and `mark` is the file that identifies it. `own` are the prefixes of files that a command may
    have left if it was killed right after its start.
    """

    text: str
    word: str
    command: str
    mark: str
    own: tuple[str, ...] = (".",)

    @property
    def name(self) -> str:
        """The machine-readable name of the kind, that of its command, as in "scale search"."""
        return self.command.removeprefix("nas ")


SEARCH = Kind(
    text="the run of a search",
    word="run",
    command="nas search",
    mark=RUN,
    own=(".", "journal.jsonl", "heartbeat.json", "space.yaml"),
)
TRAINING = Kind(
    text="a training",
    word="training",
    command="nas train",
    mark="train.yaml",
    own=(".", "metrics.jsonl", "arch.yaml"),
)
SUPERNET = Kind(
    text="a supernet",
    word="supernet",
    command="nas supernet train",
    mark="supernet.yaml",
    own=(".", "metrics.jsonl", "arch.yaml", "space.yaml"),
)
NETADAPT = Kind(
    text="a pruning by NetAdapt",
    word="pruning",
    command="nas netadapt",
    mark=RUN,
    own=(".", "journal.jsonl"),
)
SCALING = Kind(
    text="a scaling search",
    word="scaling search",
    command="nas scale search",
    mark="grid.jsonl",
)
PIPELINE = Kind(text="a pipeline", word="pipeline", command="nas pipeline", mark="pipeline.jsonl")
MARKS = (RUN, TRAINING.mark, SUPERNET.mark, SCALING.mark, PIPELINE.mark)

PRUNED, SCALED = "final.safetensors", "best.yaml"
"""The files of the final network of a pruning, and of a scaling search."""
_ENDS: Mapping[Kind, str] = {NETADAPT: PRUNED, SCALING: SCALED}


def kind_of(folder: Path) -> Kind | None:
    """Return the kind of a folder; None if it is not a run folder."""
    for kind in (PIPELINE, SCALING, TRAINING, SUPERNET):
        if (folder / kind.mark).is_file():
            return kind
    if not (folder / RUN).is_file():
        return None
    try:
        return NETADAPT if "settings" in read_mapping(folder / RUN) else SEARCH
    except BadFile:
        return SEARCH  # the error is reported where the settings are read


def check_kind(folder: Path, wanted: Kind) -> None:
    """Reject a folder that is not of the kind `wanted`.

    Raises:
        RunError: naming the kind found, with a command for it.
    """
    found = kind_of(folder)
    if found is None:
        raise RunError(f"{folder} is not a run folder: it has no {wanted.mark}")
    if found is not wanted:
        see = f"nas status {shlex.quote(str(folder))}"
        raise RunError(f"{folder} is {found.text}, not {wanted.text}; see: {see}")


def is_begun(folder: Path, wanted: Kind) -> bool:
    """Return whether `folder` is of the kind `wanted`; files of no kind are ignored.

    Raises:
        RunError: if it is of another kind.
    """
    found = kind_of(folder)
    if found not in (None, wanted):
        raise RunError(f"{folder} is {found.text}, not {wanted.text}; give another `out`")
    return found is wanted


def holds(folder: Path, wanted: Kind) -> bool:
    """Return True if `folder` holds a `wanted` to resume, False if it is free for a new one.

    Raises:
        RunError: if it holds something else.
    """
    if is_begun(folder, wanted):
        return True
    if folder.is_dir() and any(not name.startswith(wanted.own) for name in os.listdir(folder)):
        raise RunError(f"{folder} is not empty and holds no {wanted.word}; give another `out`")
    return False


def check_same(
    start: str,
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    may_change: Collection[str] = (),
    verb: str = "is",
) -> None:
    """Refuse to resume with the settings `wanted` a run that was started with `found`.

    `start` begins the message, as in "runs/a is another training: its".

    Raises:
        RunError: naming the first setting that differs, with both values.
    """
    for name in {**wanted, **found}:
        old, new = found.get(name), wanted.get(name)
        if old != new and name not in may_change:
            raise other(f"{start} {name} {verb}", old, new)


def other(start: str, found: object, wanted: object) -> RunError:
    """Return the error for a setting that was `found` at the start and is now `wanted`."""
    now = "and is not given now" if wanted is None else f"not {_text(wanted)}"
    return RunError(f"{start} {_text(found)}, {now}; give another `out`")


def _text(value: object) -> str:
    """Return a setting as the user writes it."""
    if value is None:
        return "not given"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return shown(value)


def network_of(text: str) -> str:
    """Return the file, or the training folder, of the network that `text` names.

    FOLDER and FOLDER:best name the final network of a pruning, a scaling search or a pipeline;
    FOLDER:NAME names a network of a pipeline, as in "trained". Any other text is returned as it is.

    Raises:
        NasError: if the folder has no such network, or not yet.
    """
    if is_url(text):
        return text
    folder, name = split_name(text)
    if name is not None and Path(text).exists():
        folder, name = text, None
    path = Path(folder)
    found = kind_of(path)
    if found is SUPERNET:
        raise UnknownName(
            f"{folder} is a supernet, which contains many networks; write one of them: nas "
            f"supernet extract {shlex.quote(folder)} --arch ARCH --out FILE.safetensors"
        )
    if found is PIPELINE:
        return str(path / _of_pipeline(path, name or BEST))
    if found is not None and found in _ENDS:
        return str(path / _only(path, name, found))
    return text


def _only(folder: Path, name: str | None, kind: Kind) -> str:
    """Return the file of a folder's only network."""
    file = _ENDS[kind]
    if name not in (None, BEST):
        raise UnknownName(f"{folder} is {kind.text}: it has {BEST}, not {shown(name)}")
    if not (folder / file).is_file():
        raise RunError(f"{folder} is not finished; resume with the same {kind.command} command")
    return file


def _of_pipeline(folder: Path, name: str) -> str:
    """Return the path of a pipeline's network, relative to its folder."""
    with reporting_damage(folder / PIPELINE.mark):
        stages = read_lines(folder / PIPELINE.mark)
        networks = [n for stage in stages if "done" in stage for n in stage["done"]["networks"]]
        known = {str(network["name"]): str(network["path"]) for network in networks}
        if any(Path(path).is_absolute() or ".." in Path(path).parts for path in known.values()):
            raise ValueError("a network outside of the folder")
        ends = [str(n["name"]) for n in networks if n["part"] in ("trained", "pruned")]
    if name == BEST and not ends:
        again = f"resume with the same {PIPELINE.command} command"
        raise RunError(f"{folder} has trained nothing yet; {again}")
    wanted = ends[-1] if name == BEST else name
    if wanted not in known:
        raise UnknownName(f"{folder} has the networks {', '.join(known)}, not {shown(name)}")
    return known[wanted]


def read_lines(path: Path) -> list[Any]:
    """Return the finished lines of a file of JSON lines.

    Raises:
        RunError: if it cannot be read, or a line is damaged.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    return parse(content[: content.rfind(b"\n") + 1], source=str(path))[0]


@contextmanager
def reporting_damage(path: Path) -> Iterator[None]:
    """Turn errors from records of an unexpected shape into a RunError that names `path`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise RunError(f"{path} is damaged; restore the file or begin a new run") from None
