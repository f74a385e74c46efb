"""The run of a search, read from its folder without changing it.

The plugins that it names need not be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.core.jsonl import Record
from nas.core.run_folder import MARKS, SEARCH, check_kind, read_lines
from nas.core.storage import Place
from nas.searching.config import SearchConfig, read_config
from nas.searching.fronts import front_numbers, signed
from nas.searching.journal import JOURNAL, Ask, Tell, events
from nas.searching.precision import dtypes_of
from nas.searching.problem import Constraint, Objective, Trials, concatenate
from nas.searching.runs.folder import CONFIG, FRONT
from nas.searching.runs.front_file import read_rows
from nas.searching.stored_space import SPACE, named_space, stored_space
from nas.searching.views import html_table, plot_trials, solutions_frame, trials_frame
from nas.space.heads import Head
from nas.space.space import Space

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True, repr=False)
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
        found = Head.parse(self.config.head).searched(found) if self.config.head else found
        dtypes = dtypes_of(self.config.dtype)
        return replace(found, dtypes=dtypes) if dtypes else found

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

    @cached_property
    def front(self) -> NDArray[np.int64]:
        """The numbers of the trials on the front, as far as the search has come."""
        return front_numbers(signed(self.objectives, self.trials), self.trials)

    @cached_property
    def solutions(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of `pareto.csv`, in their order; none before a search has ended.

        Numbers are numbers, what is empty is None. `nas.load_architecture("RUN:3")` gives the
        architecture of the third.

        Raises:
            RunError: if the file is damaged.
        """
        with self.out.reading(FRONT) as here:
            return read_rows(here / FRONT) if (here / FRONT).is_file() else ()

    def to_pandas(self, *, front: bool = False) -> "DataFrame":
        """Return all trials as a data frame, or with `front` the solutions; needs pandas."""
        if front:
            return solutions_frame(self.solutions)
        return trials_frame(self.trials, self.space)

    def plot(self) -> "NDArray[np.object_]":
        """Draw trials and front with the objectives on the axes; return matplotlib's axes.

        Raises:
            NasError: if no trial satisfied the constraints, or matplotlib is missing.
        """
        return plot_trials(self.objectives, self.trials, self.front)

    def __repr__(self) -> str:
        """Return where the run is, and how far."""
        searched = f"{self.config.space} on {self.config.latency_table}"
        trials = f"{len(self.trials):,} of {self.config.trials:,} trials"
        return f"<StoredRun {self.out}: {searched}, {trials}, {len(self.front):,} on the front>"

    def _repr_html_(self) -> str:
        title = f"{self.config.space} on {self.config.latency_table}"
        shared = (name.removesuffix("_deviation") for name in next(iter(self.solutions), {})
                  if name.endswith("_deviation"))  # fmt: skip
        metric = next(shared, "top1")
        return html_table(title, self.solutions, metric)

    @property
    def waiting(self) -> int:
        """How many proposals have no answer."""
        asked = sum(len(event.picks) for event in self._events if isinstance(event, Ask))
        return asked - len(self.trials)


def read_run(out: Place | Path | str) -> StoredRun:
    """Return the run of a search; an unfinished last line is ignored.

    A run that was killed before its journal began has no trials.

    Raises:
        RunError: if `out` is no such run, or its journal cannot be read.
        BadFile: if its settings are damaged.
    """
    place = out if isinstance(out, Place) else Place(out)
    with place.reading(*MARKS, JOURNAL, SPACE, FRONT) as here:
        check_kind(here, SEARCH)
        config, journal = read_config(here / CONFIG, kept=True), here / JOURNAL
        is_begun = journal.exists() or (here / FRONT).exists()
        records = read_lines(journal) if is_begun else ()
        kept = stored_space(here)
    return StoredRun(out=place, config=config, records=records, kept=kept)
