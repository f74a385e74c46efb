"""The run of a search, read from its folder without changing it.

The plugins that it names need not be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nas.core.jsonl import Record
from nas.core.run_folder import MARKS, SEARCH, check_kind, read_lines
from nas.core.storage import Place
from nas.searching.config import SearchConfig, read_config
from nas.searching.journal import JOURNAL, Ask, Tell, events
from nas.searching.kept_space import SPACE, kept_space, named_space
from nas.searching.problem import Constraint, Objective, Trials, concatenate
from nas.searching.runs.folder import CONFIG
from nas.space.heads import Head
from nas.space.space import Space


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """The settings of a search and the lines of its journal; `out` is where the run is kept.

    `kept` is the space that its folder holds; those of earlier versions hold none.

    The properties are worked out when they are read, and raise a NasError where the space is
    unknown or a line is damaged.
    """

    out: Place
    config: SearchConfig
    records: Sequence[Record]
    kept: Space | None = None

    @cached_property
    def space(self) -> Space:
        """The space that was searched."""
        header = self.records[0] if self.records else {}
        found = self.kept or named_space(self.config.space, header.get("choices"))
        return Head.parse(self.config.head).searched(found) if self.config.head else found

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives; none where the settings leave them to a default."""
        return tuple(map(Objective.parse, self.config.objective))

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints on the results."""
        return tuple(map(Constraint.parse, self.config.limit))

    @cached_property
    def _events(self) -> tuple[Ask | Tell, ...]:
        needed = [objective.metric for objective in self.objectives]
        source = str(self.out / JOURNAL)
        return tuple(events(self.records, self.space.widths, source=source, needed=needed))

    @cached_property
    def trials(self) -> Trials:
        """All finished trials, in the order in which they were told."""
        told = [event.trials for event in self._events if isinstance(event, Tell)]
        return concatenate(told, len(self.space.columns))

    @property
    def waiting(self) -> int:
        """How many proposals have no answer."""
        asked = sum(len(event.picks) for event in self._events if isinstance(event, Ask))
        return asked - len(self.trials)


def read_run(out: Place | Path | str) -> StoredRun:
    """Return the run of a search; an unfinished last line is ignored.

    Raises:
        RunError: if `out` is no such run, or its journal cannot be read.
        BadFile: if its settings are damaged.
    """
    place = out if isinstance(out, Place) else Place(out)
    with place.reading(*MARKS, JOURNAL, SPACE) as here:
        check_kind(here, SEARCH)
        config, records = read_config(here / CONFIG), read_lines(here / JOURNAL)
        kept = kept_space(here)
    return StoredRun(out=place, config=config, records=records, kept=kept)
