"""Readers of run folders: of searches, pipelines, prunings and grids."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from readers.rows import JSON, LINES, TINY, YAML, Row, arch, one, tiny, to_json, to_lines, to_yaml

from nas.core.jsonl import resumed
from nas.network.blocks import to_mapping
from nas.pipeline.config import read_pipeline
from nas.pruning.folder import NetAdaptFolder
from nas.pruning.netadapt import Point, Tried
from nas.scaling import search as compound
from nas.searching.config import read_config
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.journal import ask_record, open_journal, tell_record
from nas.searching.problem import OK, STATUS_TYPE, Objective, Problem, Trials
from nas.searching.runs.examples import read_examples
from nas.searching.runs.folder import find_architecture, front_names
from nas.searching.runs.status import read_status
from nas.searching.session import Session
from nas.searching.strategies.random import create as create_random

_RUN = {"schema": 1, "space": str(TINY), "objective": ["max:top1", "min:macs"], "trials": 30}
_HEADER = {"schema": 1, "choices": "", "evaluators": ["costs", "table", "training"]}


class _FakeEvaluator:
    provides, seconds, note = ("top1",), 1.0, ""

    def __call__(self, candidates: Any) -> Any:
        return {"top1": np.full(len(candidates), 0.5)}

    def deviation(self, candidates: Any) -> Any:
        return {}

    def __str__(self) -> str:
        return "fake"


@cache
def _problem() -> Problem:
    return Problem(
        space=tiny(),
        evaluators=(create_costs(tiny()), _FakeEvaluator()),
        objectives=(Objective.parse("top1"), Objective.parse("macs")),
    )


@cache
def _run() -> Mapping[str, bytes]:
    """Return a run folder of 24 trials, with a front of two."""
    rows = create_random(_problem(), seed=1).ask(24)
    records: list[Any] = [{**_HEADER, "choices": tiny().fingerprint}]
    for first in range(0, 24, 8):
        picks = rows[first : first + 8]
        trials = Trials(
            first=first,
            picks=picks,
            metrics={"top1": np.linspace(0.1, 0.9, 8), "macs": np.linspace(1, 9, 8)},
            status=np.full(8, OK, dtype=STATUS_TYPE),
            seconds=0.5,
            errors={},
        )
        records += [dict(ask_record(first, 8, picks)), dict(tell_record(trials))]
    beat = {
        "schema": 1, "host": "h", "pid": 77, "updated": 1e9, "state": "running", "started": 0,
        "trials": 24, "wanted": 30, "seconds": 1.5, "spent_seconds": 1.5, "tasks": 0, "busy": 0,
        "workers": 1,
    }  # fmt: skip
    solution = to_yaml(to_mapping(replace(arch(), name="001")))
    return {
        "run.yaml": to_yaml(_RUN),
        "journal.jsonl": to_lines(records),
        "heartbeat.json": to_json(beat),
        "pareto.csv": b"name,best,top1\n001,True,0.5\n002,False,0.4\n",
        "archs/001.yaml": solution,
        "archs/002.yaml": solution,
    }


def _resumed(path: Path) -> object:
    header = {"choices": tiny().fingerprint}
    with closing(open_journal(path.parent / "journal.jsonl")) as journal:
        session = Session(_problem(), create_random(_problem(), seed=1), journal, header=header)
        return session.trials


def _solution(path: Path) -> object:
    front_names(path.parent)
    return find_architecture(f"{path.parent}:best")


def _pipeline() -> Any:
    return {
        "schema": 1,
        "data": "digits",
        "latency_table": "pixel1",
        "seed": 1,
        "search": {"space": "mnasnet_b0", "trials": 10, "limit": ["latency_ms<=80"]},
        "train": {"recipe": "quick", "epochs": 2, "lr": 0.1},
        "netadapt": {"target_ms": 5.0, "prune": ["hidden"], "epochs": 1},
        "scale": {"networks": {"big": {"phi": 1.0, "alpha": 1.2}}, "epochs": 1},
        "export": {"format": ["onnx"]},
    }


@cache
def _pruned() -> Mapping[str, bytes]:
    point = Point(latency_ms=5.0, macs=10, params=3, held_out=0.5)
    tried = Tried(group="stages.0.0.hidden", was=16, width=8, point=point, seconds=1.5)
    failed = Tried(group="stem.0.out", was=16, width=8, error="diverged")
    return {
        "run.yaml": to_yaml(
            {
                "schema": 1,
                "settings": {"step": "5%", "shortlist": 0},
                "recipe": {"lr": 0.1},
                "lineage": {"sentences": ["Found."], "table": "pixel1"},
            }
        ),
        "journal.jsonl": to_lines(
            [
                {"schema": 1},
                {"start": asdict(point)},
                {"round": 1, "tried": asdict(tried)},
                {"round": 1, "tried": asdict(failed)},
                {"round": 1, "chosen": "stages.0.0.hidden"},
                {"end": {"top1": 0.5}},
            ]
        ),
    }


def _reopened(path: Path) -> object:
    settings = {"settings": {"step": "5%", "shortlist": 0}, "recipe": {"lr": 0.1}}
    with closing(NetAdaptFolder(path.parent, settings)) as folder:
        return folder.start, folder.end, folder.tried(1), folder.chosen(1)


_GRID = {"schema": 1, "base": "0", "factor": 2.0}


def _grid(path: Path) -> object:
    with resumed(path, _GRID, writer="another") as lines, closing(lines):
        return compound._replay(lines, _GRID)


@cache
def _stages() -> Mapping[str, bytes]:
    network = {
        "part": "trained", "name": "trained", "path": "train", "fingerprint": "0",
        "resolution": 32, "latency_ms": 5.0, "latency_low_ms": 4.0, "latency_high_ms": 6.0,
        "macs": 10, "params": 3, "scores": {"top1": 0.5}, "remarks": ["r"],
    }  # fmt: skip
    done = {"networks": [network], "files": [{"path": "a"}], "notes": ["n"], "measured": None,
            "seconds": 1.5}  # fmt: skip
    return {
        "pipeline.yaml": to_yaml(_pipeline()),
        "pipeline.jsonl": to_lines(
            [{"schema": 1}, {"stage": "train", "settings": {}, "done": done}]
        ),
    }


def _stages_reopened(path: Path) -> object:
    from nas.pipeline.journal import PipelineFolder

    config = _config(path.parent.parent)
    with closing(PipelineFolder(path.parent, config, {"data": "0"})) as folder:
        return folder.results


@cache
def _config(folder: Path) -> Any:
    path = folder / "sound.yaml"
    path.write_bytes(to_yaml(_pipeline()))
    return read_pipeline(path)


ROWS: dict[str, Row] = {
    "run.yaml": Row(
        files=one("run.yaml", _RUN, to_yaml), spoilt="run.yaml", read=read_config, **YAML
    ),
    "journal": Row(
        files=_run,
        spoilt="journal.jsonl",
        read=lambda path: (read_status(path.parent), read_examples([path.parent])),
        **LINES,
    ),
    "journal of a search that goes on": Row(
        files=_run, spoilt="journal.jsonl", read=_resumed, **LINES
    ),
    "heartbeat": Row(
        files=_run,
        spoilt="heartbeat.json",
        read=lambda path: read_status(path.parent).heartbeat,
        **JSON,
    ),
    "front": Row(files=_run, spoilt="pareto.csv", read=_solution),
    "pipeline.yaml": Row(
        files=one("x.yaml", _pipeline, to_yaml), spoilt="x.yaml", read=read_pipeline, **YAML
    ),
    "journal of a pipeline": Row(
        files=_stages, spoilt="pipeline.jsonl", read=_stages_reopened, **LINES
    ),
    "journal of NetAdapt": Row(files=_pruned, spoilt="journal.jsonl", read=_reopened, **LINES),
    "run.yaml of NetAdapt": Row(files=_pruned, spoilt="run.yaml", read=_reopened, **YAML),
    "journal of a grid": Row(
        files=one("x.jsonl", [_GRID, {"fingerprint": "a", "score": 0.5},
                               {"fingerprint": "b", "error": "e"}], to_lines),
        spoilt="x.jsonl",
        read=_grid,
        **LINES,
    ),
}  # fmt: skip
