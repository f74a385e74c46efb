"""The latency tables of a stored search, one for each dtype, and what they predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.latency.table import Latency, LatencyTable
from nas.network.blocks import Architecture
from nas.searching.precision import FP32, dtypes_of, named_table
from nas.searching.runs.stored import StoredRun
from nas.searching.stored_table import TABLE, table_of
from nas.space.space import INT8, Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """The tables by dtype; the key is empty where the run has none.

    `warnings` say what is missing.
    """

    tables: Mapping[str, LatencyTable]
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The names of the tables, with their dtypes where there are two."""
        if len(self.tables) == 1:
            return next(iter(self.tables.values())).name
        return ", ".join(f"{table.name} ({dtype})" for dtype, table in self.tables.items())

    def predict(
        self, run: StoredRun, picks: Matrix, archs: Sequence[Architecture]
    ) -> tuple[Latency, ...]:
        """Return the latency of every network, in its dtype; none without tables.

        Raises:
            NasError: if a table lacks a unit.
        """
        if not self.tables:
            return ()
        dtypes = _dtypes(run, picks, tuple(self.tables))
        found: dict[int, Latency] = {}
        for dtype, table in self.tables.items():
            own = np.flatnonzero(dtypes == dtype).tolist()
            found |= zip(own, table.predict_all(archs[i] for i in own), strict=True)
        return tuple(found[i] for i in range(len(archs)))


def tables_of(run: StoredRun) -> RunTables:
    """Return the latency tables of a run; none, with the reason, where one is not there."""
    config, dtypes = run.config, dtypes_of(run.config.dtype)
    try:
        with run.out.reading(TABLE) as here:
            found = {
                dtype: table_of(named_table(config.latency_table, config.dtype, dtype), here)
                for dtype in dtypes or ("",)
            }
        return RunTables(tables=found)
    except NasError as error:
        warning = f"the shares of the latency are not shown, for want of the table: {error}"
        return RunTables(tables={}, warnings=(warning,))


def _dtypes(run: StoredRun, picks: Matrix, known: Sequence[str]) -> NDArray[np.str_]:
    """Return the dtype of every row."""
    int8 = run.space.split(picks)[1]
    if len(known) == 1 or int8 is None:
        return np.full(len(picks), known[0])
    return np.where(int8, INT8, FP32)
