"""Read the state of a training, a pruning, a scaling search or a pipeline from its folder.

Searches, which record more, have `nas.searching.runs.status`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nas.core.data import read_mapping
from nas.core.errors import BadFile
from nas.core.run_folder import (
    MARKS,
    NETADAPT,
    PIPELINE,
    PRUNED,
    RUN,
    SCALED,
    SCALING,
    SEARCH,
    SUPERNET,
    TRAINING,
    Kind,
    check_kind,
    kind_of,
    read_lines,
    reporting_damage,
)
from nas.core.storage import Place
from nas.network.checkpoint import architecture_of, metric_of
from nas.pipeline.config import STAGES
from nas.pipeline.journal import SETTINGS

METRICS, ROUNDS = "metrics.jsonl", "journal.jsonl"
FINISHED, UNFINISHED = "finished", "unfinished"
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The state of a folder: `facts` by name, None if not known yet.

    `state` is "finished" or "unfinished"; whether the command still runs is not known.
    """

    out: Place
    kind: Kind
    state: str
    facts: Facts

    def record(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        known = {"kind": self.kind.name, "state": self.state, **self.facts}
        return {"schema": 1, "run": str(self.out), **known}


def read_summary(place: Place) -> Summary | None:
    """Return the summary of a folder; None for the run of a search.

    Raises:
        RunError: if it is not a run folder, or is damaged.
    """
    with place.reading(*MARKS, METRICS) as here:
        kind = kind_of(here)
        if kind is None:
            check_kind(here, SEARCH)
        if kind is SEARCH or kind is None:
            return None
        with reporting_damage(here / kind.mark):
            finished, facts = _READ[kind](here)
    return Summary(out=place, kind=kind, state=FINISHED if finished else UNFINISHED, facts=facts)


def _training(here: Path, mark: str = TRAINING.mark) -> tuple[bool, Facts]:
    wanted = read_mapping(here / mark)["recipe"]["epochs"]
    lines = read_lines(here / METRICS) if (here / METRICS).is_file() else []
    epochs = [line for line in lines if "epoch" in line]
    done = int(epochs[-1]["epoch"]) if epochs else 0
    metric = "map" if epochs and "map" in epochs[-1] else "top1"
    best = max(epochs, key=lambda line: float(line[metric]), default=None)
    facts = {
        "epochs": done,
        "wanted": int(wanted),
        metric: float(best[metric]) if best else None,
        "best_epoch": int(best["epoch"]) if best else None,
    }
    return done >= int(wanted), facts


def _pruning(here: Path) -> tuple[bool, Facts]:
    settings = read_mapping(here / RUN)["settings"]
    lines = read_lines(here / ROUNDS) if (here / ROUNDS).is_file() else []
    tried = {
        (one["round"], one["tried"]["group"]): one["tried"]["point"]
        for one in lines
        if "tried" in one
    }
    points = [tried[one["round"], one["chosen"]] for one in lines if "chosen" in one]
    points = [one["start"] for one in lines if "start" in one] + points
    end = next((one["end"]["best"] for one in lines if "end" in one), None)
    last = end or (points[-1] if points else None)
    finished = end is not None and (here / PRUNED).is_file()
    metric = _metric(here / PRUNED) if finished else "top1"
    facts = {
        "rounds": sum("chosen" in one for one in lines),
        "latency_ms": float(last["latency_ms"]) if last else None,
        "target_ms": float(settings["target_ms"]),
        metric: end["top1"] if end else None,
    }
    return finished, facts


def _metric(checkpoint: Path) -> str:
    """Return the metric of a network, `top1` if its file cannot be read."""
    try:
        return metric_of(architecture_of(checkpoint))
    except BadFile:
        return "top1"


def _scaling(here: Path) -> tuple[bool, Facts]:
    header, *lines = read_lines(here / SCALING.mark) or [{"networks": 0, "metric": ""}]
    scores = {line["fingerprint"]: float(line["score"]) for line in lines if "score" in line}
    failed = {line["fingerprint"] for line in lines if "error" in line} - set(scores)
    facts = {
        "scored": len(scores),
        "failed": len(failed),
        "networks": int(header["networks"]),
        "best": max(scores.values(), default=None),
    }
    return (here / SCALED).is_file(), facts


def _pipeline(here: Path) -> tuple[bool, Facts]:
    asked = read_mapping(here / SETTINGS) if (here / SETTINGS).is_file() else {}
    done = {line["stage"]: line["done"] for line in read_lines(here / PIPELINE.mark)[1:]}
    networks = [str(one["name"]) for stage in done.values() for one in stage["networks"]]
    missing = [stage for stage in STAGES if stage in asked and stage not in done]
    facts = {"done": list(done), "missing": missing, "networks": networks}
    return bool(asked) and not missing, facts


_READ: Mapping[Kind, Callable[[Path], tuple[bool, Facts]]] = {
    TRAINING: _training,
    SUPERNET: partial(_training, mark=SUPERNET.mark),
    NETADAPT: _pruning,
    SCALING: _scaling,
    PIPELINE: _pipeline,
}
