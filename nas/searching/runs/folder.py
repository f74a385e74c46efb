"""Run folders: writing the results of a search, and finding its architectures again.

`run.yaml` holds the settings, `space.yaml` the space, `journal.jsonl` all proposals and trials,
`pareto.csv` and `archs/` the front, `env.json` versions, machine and inputs.
"""

import csv
import io
import os
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nas.core import data, strict_json
from nas.core.blas import blas_threads
from nas.core.errors import RunError, UnknownName
from nas.core.files import read_text, write_folder, write_text
from nas.core.machine import cpu_name
from nas.core.run_folder import (
    MARKS,
    RUN,
    SEARCH,
    check_kind,
    check_same,
    holds,
    kind_of,
    network_of,
)
from nas.core.schema import SCHEMA
from nas.core.storage import Place, is_url, split_name
from nas.core.versions import commit, version_of
from nas.network.blocks import Architecture, to_mapping
from nas.network.checkpoint import architecture_of, find_checkpoint
from nas.network.detectors import detector_of, has_head
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig, read_config
from nas.searching.precision import named_table
from nas.searching.setup import Setup

CONFIG, FRONT = RUN, "pareto.csv"
ARCHS, ENVIRONMENT = "archs", "env.json"

_NAME = re.compile(r"[0-9]{3,9}")

MAY_CHANGE = (
    *("trials", "batch", "runner", "workers", "ray_address", "gpus_per_trial"),
    *("deterministic", "trial_seconds", "max_seconds", "max_epochs"),
)
"""Settings that may change when a run is resumed."""

RESOLVED = ("objective", "strategy")
"""Settings that a run.yaml written by hand may leave empty; a search writes the result."""


def check_folder(out: Path, config: SearchConfig) -> None:
    """Check that `out` is free, or holds a run of `config` that can be resumed.

    Raises:
        RunError: if it holds another search, or something else.
    """
    if holds(out, SEARCH):
        found = read_config(out / CONFIG, kept=True)
        left = {name: getattr(config, name) for name in RESOLVED if not getattr(found, name)}
        start = f"{out} is the run of another search: its"
        check_same(start, asdict(replace(found, **left)), asdict(config), may_change=MAY_CHANGE)


def write_results(
    out: Path,
    rows: Sequence[Mapping[str, Any]],
    archs: Sequence[Architecture],
    environment: Mapping[str, Any],
) -> None:
    """Write the front and its `environment`; every file is replaced at once or not at all.

    `rows` are the records of the solutions, with their `picks`; `archs` are their architectures.

    Raises:
        RunError: if the folder cannot be written.
    """
    files = {f"{arch.name}.yaml": data.to_yaml(to_mapping(arch)).encode() for arch in archs}
    try:
        write_text(out / FRONT, to_csv(rows))
        write_folder(out / ARCHS, files, others_stay=True)
        for path in (out / ARCHS).glob("*.yaml"):
            if path.name not in files:
                path.unlink()
        write_text(out / ENVIRONMENT, strict_json.dumps(environment, indent=1) + "\n")
    except OSError as error:
        raise RunError(f"cannot write the results into {out}: {error.strerror}") from None


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return `rows` as CSV, the picks as columns at the end."""
    flat = [{**row, **row["picks"]} for row in rows]
    names = dict.fromkeys(name for row in flat for name in row if name != "picks")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def environment(setup: Setup) -> Mapping[str, Any]:
    """Return where the numbers of a run are from: versions, machine, table, problem, seed."""
    packages = ("nas", "numpy", "optuna", "torch")
    return {
        "schema": SCHEMA,
        "python": platform.python_version(),
        "packages": {name: version for name in packages if (version := version_of(name))},
        "platform": platform.platform(),
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "blas_threads": blas_threads(),
        "table": {"name": setup.table.name, "device": setup.table.device},
        **_tables(setup),
        **({"coverage": asdict(setup.coverage)} if setup.coverage else {}),
        "problem": setup.problem.describe(),
        "seed": setup.config.seed,
        "commit": commit(),
    }


def _tables(setup: Setup) -> dict[str, Any]:
    """Return the names of the latency tables by dtype, where the search has one."""
    names = {dtype: table.name for dtype, table in setup.tables.items() if dtype}
    return {"tables": names} if names else {}


def find_architecture(text: str) -> Architecture:
    """Return the architecture that `text` means.

    A bundled name, a path to a YAML or JSON file, or RUN_DIR:NAME for a solution of a run's front:
    its number, or "best" for the most accurate (with one objective, the best of it); RUN_DIR may be
    a URL. A training folder or a checkpoint means its trained network, the folder of a pruning, a
    scaling search or a pipeline its final one; see `network_of`. Each may be the backbone of a
    detector, as in "ssdlite:RUN_DIR:best".

    Raises:
        NasError: if there is no such thing; it says what there is.
    """
    if has_head(text):
        return detector_of(text, find_architecture)
    text = network_of(text)
    folder, name = split_name(text)
    with Place(folder).reading(*MARKS, FRONT) as here:
        if kind_of(here) is SEARCH:
            if name is None:
                raise UnknownName(f"{text} is a run: name a solution, as in {text}:best")
            solution = f"{ARCHS}/{_solution(here, name)}.yaml"
            with Place(folder).reading(solution) as inside:
                return load_architecture(inside / solution)
    if path := find_checkpoint(text):
        return architecture_of(path)
    if (
        name
        and (name == "best" or name.isdecimal())
        and not (is_url(text) or Path(folder).exists())
    ):
        raise UnknownName(f"there is no run folder {folder}")
    return load_architecture(text)


def front_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the solutions of a run, in the order of the front.

    Raises:
        RunError: if the front is empty or not there yet.
    """
    names = tuple(_front(folder))
    if not names:
        raise RunError(f"the front of {folder} is empty: no trial satisfied the constraints")
    return names


def dtype_of(text: str) -> str:
    """Return what the solution that `text` names was found to run in; "" where nothing says so.

    Raises:
        NasError: if `text` names a solution of a run that does not have it.
    """
    folder, name = split_name(text)
    if name is None:
        return ""
    with Place(folder).reading(*MARKS, FRONT) as here:
        if kind_of(here) is not SEARCH:
            return ""
        wanted = _solution(here, name)
        rows = csv.DictReader(io.StringIO(read_text(here / FRONT)))
        return next(row.get("dtype") or "" for row in rows if row["name"] == wanted)


def table_name_of(run: Path | str, name: str) -> str:
    """Return the name of the latency table that predicted a solution of a run."""
    with Place(str(run)).reading(*MARKS) as here:
        config = read_config(here / CONFIG, kept=True)
    return named_table(config.latency_table, config.dtype, dtype_of(f"{run}:{name}"))


def _solution(folder: Path, name: str) -> str:
    """Return the name under which a solution of the front lies in `ARCHS`."""
    known = _front(folder)
    first, *_, last = (*front_names(folder), *known)
    wanted = next(n for n, best in known.items() if best) if name == "best" else name.zfill(3)
    if wanted not in known:
        raise UnknownName(f"{folder} has solutions {first} to {last} and best, not {name!r}")
    return wanted


def _again(folder: Path) -> str:
    """Return the command that resumes a search."""
    return f"nas search --out {shlex.quote(str(folder))}"


def _front(folder: Path) -> Mapping[str, bool]:
    """Return the names of a run's front, and which of them is the best."""
    check_kind(folder, SEARCH)
    try:
        rows = csv.DictReader(io.StringIO(read_text(folder / FRONT)))
        front = {row["name"]: row["best"] == "True" for row in rows}
        if front and (sum(front.values()) != 1 or not all(map(_NAME.fullmatch, front))):
            raise ValueError("not one best, or a name that no search gives")
        return front
    except OSError:
        raise RunError(f"{folder} has no front yet; finish it: {_again(folder)}") from None
    except (KeyError, ValueError, TypeError, IndexError, csv.Error):
        raise RunError(f"{folder / FRONT} is damaged; write it again: {_again(folder)}") from None
