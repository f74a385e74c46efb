"""The folder of a NetAdapt run: its settings, a journal of all proposals, and the chosen weights.

`run.yaml` holds the settings; `journal.jsonl` has a line for every finished proposal and every
choice; `rounds/001.safetensors` is the network after a round, `rounds/001/` holds its proposals.
`final.safetensors` and `final.yaml` are the result.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.core.data import flat, read_mapping, to_yaml
from nas.core.errors import BadValue
from nas.core.files import write_text
from nas.core.jsonl import Record, line_reader, resumed
from nas.core.run_folder import NETADAPT, PRUNED, RUN, check_same, holds
from nas.core.schema import SCHEMA, Reader
from nas.core.text import shown
from nas.network.checkpoint import SUFFIX
from nas.network.lineage import LINEAGE, lineage_in, with_lineage
from nas.pruning.netadapt import Point, Tried

SETTINGS, JOURNAL, ROUNDS = RUN, "journal.jsonl", "rounds"
FINAL, TUNING = Path(PRUNED).stem, "fine_tuning"
_GROUP = re.compile(r"[a-z]{1,40}(\.\w{1,40}){0,4}", re.ASCII)
_MAX_ROUNDS = 100_000
_ADDED: Mapping[str, Any] = {"settings.shortlist": 0}
"""Settings that runs of earlier versions do not record, with the values they used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of the journal: the header, or one of the other kinds."""

    schema: int | None = None
    start: Point | None = None
    round: int = 0
    tried: Tried | None = None
    chosen: str = ""
    end: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        parts = (self.schema, self.start, self.tried, self.chosen or None, self.end)
        if sum(part is not None for part in parts) != 1:
            raise BadValue("needs one of schema, start, tried, chosen and end")
        group = self.tried.group if self.tried else self.chosen
        if group and not 1 <= self.round <= _MAX_ROUNDS:
            raise BadValue(f"round must be a whole number from 1 to {_MAX_ROUNDS}", "round")
        if (group or self.tried) and not _GROUP.fullmatch(group):  # it names a file
            raise BadValue(f"a group is named as stages.2.0.hidden, not {shown(group)}")


class NetAdaptFolder:
    """The folder of one run, open for writing in one process at a time.

    `start` holds the scores of the given network, `end` the final result; None until known.

    Raises:
        RunError: if it holds another run, or something else, or cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open or create the folder at `path` for a run with `settings`."""
        self.path = path
        self._settings = _checked(path, {"schema": SCHEMA, **settings})
        self.start: Point | None = None
        self.end: Record | None = None
        self._tried: dict[int, dict[str, Tried]] = {}
        self._chosen: dict[int, str] = {}
        with resumed(path / JOURNAL, {"schema": SCHEMA}, writer="another run") as self._lines:
            for number, record in enumerate(self._lines.records, start=1):
                self._read(line_reader(path / JOURNAL, number), record)
        write_text(path / SETTINGS, to_yaml(self._settings))

    def _read(self, read: Reader, record: Record) -> None:
        line = read.record(record, _Line)
        if line.start:
            self.start = line.start
        if line.tried:
            self._tried.setdefault(line.round, {})[line.tried.group] = line.tried
        if line.chosen:
            self._chosen[line.round] = line.chosen
        if line.end and self.final(SUFFIX).is_file():
            self.end = line.end

    def tried(self, number: int) -> Mapping[str, Tried]:
        """Return the finished proposals of a round, by group."""
        found = self._tried.get(number, {})
        kept = self.checkpoint(number).is_file()
        return {
            group: one
            for group, one in found.items()
            if one.error or kept or self.proposal(number, group).is_file()
        }

    def chosen(self, number: int) -> str | None:
        """Return the group that a round has cut, None if the round is not finished."""
        found = self._chosen.get(number)
        return found if found and self.checkpoint(number).is_file() else None

    def checkpoint(self, number: int) -> Path:
        """Return the file with the network after a round."""
        return self.path / ROUNDS / f"{number:03d}{SUFFIX}"

    def proposal(self, number: int, group: str) -> Path:
        """Return the file of a proposal of a round."""
        return self.path / ROUNDS / f"{number:03d}" / f"{group}{SUFFIX}"

    def final(self, suffix: str) -> Path:
        """Return the file of the result: its checkpoint, or its architecture as .yaml."""
        return self.path / f"{FINAL}{suffix}"

    def log_start(self, point: Point) -> None:
        """Log the scores of the given network."""
        self.start = point
        self._lines.append({"start": asdict(point)})

    def log_tried(self, number: int, tried: Tried) -> None:
        """Log the result of a proposal."""
        self._tried.setdefault(number, {})[tried.group] = tried
        self._lines.append({"round": number, "tried": asdict(tried)})

    def log_chosen(self, number: int, group: str) -> None:
        """Keep the network of the chosen proposal, log it, and remove the others."""
        if self.proposal(number, group).is_file():
            os.replace(self.proposal(number, group), self.checkpoint(number))
        self._chosen[number] = group
        self._lines.append({"round": number, "chosen": group})
        shutil.rmtree(self.proposal(number, group).parent, ignore_errors=True)

    def log_end(self, end: Record) -> None:
        """Log the result of the run."""
        self.end = end
        self._lines.append({"end": end})
        if not (self.path / SETTINGS).is_file():  # the folder was removed meanwhile
            write_text(self.path / SETTINGS, to_yaml(self._settings))

    def close(self) -> None:
        """Close the journal, so that other processes may write."""
        self._lines.close()


def settings_in(path: Path) -> Mapping[str, Any]:
    """Return the settings of the run in a folder, as "settings.step" or "recipe.lr", if any."""
    if not (path / SETTINGS).is_file():
        return {}
    found = flat(read_mapping(path / SETTINGS))
    added = _ADDED if any(name.startswith("settings.") for name in found) else {}
    return {**added, **found}


def _checked(path: Path, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings to keep; refuse a `path` that holds another run."""
    if not holds(path, NETADAPT):
        return settings
    found, wanted = settings_in(path), flat(settings)
    names = [n for n in {**wanted, **found} if n.endswith(".name") or n.startswith(f"{LINEAGE}.")]
    start = f"{path} is the run of another pruning: its"
    check_same(start, found, wanted, may_change=names)
    begun = read_mapping(path / SETTINGS) if found else {}
    return with_lineage(settings, lineage_in(begun, path / SETTINGS))
