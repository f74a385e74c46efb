"""Every reader of files, a row each: what it reads, and how. A new reader is a new row."""

import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from readers.mutate import damaged, misread

from nas.accuracy import AccuracyModel, Network, load_accuracy_model, write_accuracy_model
from nas.arch import Architecture, to_mapping
from nas.boundary import FEATURES, Boundary
from nas.compound import search as compound
from nas.config import read_config
from nas.evaluators.costs import create as create_costs
from nas.finished import read_examples
from nas.folder import find_architecture, front_names
from nas.journal import ask_record, open_journal, tell_record
from nas.latency import Entry
from nas.latency_file import load_table, table_mapping
from nas.latency_import import read_dialect
from nas.lines import Lines
from nas.measuring import on_target
from nas.measuring.plan import Job, Plan
from nas.measuring.plan import from_mapping as plan_from
from nas.measuring.plan import to_mapping as plan_mapping
from nas.measuring.samples import UNIT, header, read_samples
from nas.pipeline.config import read_pipeline
from nas.problem import OK, STATUS_TYPE, Objective, Problem, Trials
from nas.provenance import Provenance, Validation
from nas.pruning.folder import NetAdaptFolder
from nas.pruning.netadapt import Point, Tried
from nas.session import Session
from nas.space import Space
from nas.space_file import load_space
from nas.status import read_status
from nas.strategies.random import create as create_random
from nas.zoo import load_architecture

DATA = Path(__file__).parents[1] / "data"
TINY = DATA / "tiny.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A reader: `files` are sound, one of them, `spoilt`, is to be damaged before `read` reads.

    `say` writes the content of that file anew from what `hear` returns of it, so that values can be
    replaced; both are None where only bytes can be damaged.
    """

    files: Callable[[], Mapping[str, bytes]]
    spoilt: str
    read: Callable[[Path], object]
    hear: Callable[[bytes], Any] | None = None
    say: Callable[[Any], bytes] | None = None

    def worse(self, draw: random.Random) -> bytes:
        """Return the file damaged in some way."""
        content = self.files()[self.spoilt]
        if self.hear and self.say and draw.random() < 0.6:
            return self.say(misread(_said(self), draw))
        return damaged(content, draw)


@cache
def _said(row: Row) -> Any:
    """Return what the sound file of a reader says."""
    assert row.hear
    return row.hear(row.files()[row.spoilt])


def _yaml(content: Any) -> bytes:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False).encode()


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # as in nas.data
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _from_yaml(content: bytes) -> Any:
    return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _lines(content: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in content)


def _from_lines(content: bytes) -> Any:
    return [json.loads(line) for line in content.splitlines()]


_YAML: Any = {"hear": _from_yaml, "say": _yaml}
_JSON: Any = {"hear": json.loads, "say": _json}
_LINES: Any = {"hear": _from_lines, "say": _lines}


@cache
def tiny() -> Space:
    return load_space(TINY)


@cache
def _arch() -> Architecture:
    return tiny().decode_row(np.zeros(len(tiny().widths), dtype=np.uint8))


def _one(name: str, content: Any, say: Callable[[Any], bytes]) -> Callable[[], Mapping[str, bytes]]:
    return cache(lambda: {name: say(content() if callable(content) else content)})


def _table() -> Any:
    """Return what the file of a table holds that has a value in every field."""
    table = replace(
        load_table("pixel1"),
        entries={"a unit": Entry(ms=1.5, low_ms=1.25, high_ms=1.75, isolated_ms=2.0)},
        lacks={"another": "no kernel"},
        boundary=Boundary(coefficients=dict.fromkeys(FEATURES, 0.5)),
        provenance=Provenance(
            backend="fake", space="mbconv", cpu="a", cpu_count=8, cores=(2, 3), governor="",
            clock_mhz=2400, system="b", python="c", batch=1, method="d", date="2026-11-22",
            code_version="0.1.0", reference_ms={"x": 9.5}, rounds=30, noise=0.015,
            calibrated_on=("0123456789abcdef",),
        ),
        validation=Validation(
            bias=-0.01, mape=0.02, worst=0.06, within_5=0.96, within_10=1.0, kendall_tau=-0.1,
            noise_floor=0.01, noise_worst=0.03, speed=1.02, date="2026-11-22",
            points={"network 0": (10.0, 10.5)},
        ),
    )  # fmt: skip
    return json.loads(json.dumps(table_mapping(table)))


def _predicted(path: Path) -> object:
    return load_table(path).predict(_arch())


def _dialect(name: str) -> Any:
    """Return five rows of a table of another project."""
    found = {"ofa": "ofa_tables/224_lookup_table.yaml", "proxylessnas": "proxylessnas_table.yaml"}
    content = _from_yaml((DATA / found[name]).read_bytes())
    return dict(list(content.items())[:5])


@cache
def _model() -> bytes:
    inputs = int(tiny().widths.sum())
    network = Network(
        weights=(np.full((inputs, 2), 0.1, np.float32), np.full((2, 1), 0.1, np.float32)),
        biases=(np.zeros(2, np.float32), np.zeros(1, np.float32)),
    )
    model = AccuracyModel(
        domain=tiny(), metric="top1", source="s", note="n", mean=network, spread=network
    )
    return _written(".npz", partial(write_accuracy_model, model))


def _written(suffix: str, write: Callable[[Path], object]) -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        write(path)
        return path.read_bytes()


def _model_header(content: bytes) -> Any:
    with np.load(io.BytesIO(content)) as arrays:
        return json.loads(str(arrays["header"]))


def _with_header(header: Any) -> bytes:
    with np.load(io.BytesIO(_model())) as arrays:
        content = {**arrays, "header": np.array(json.dumps(header))}
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def _predict_all(path: Path) -> object:
    matrix = np.zeros((1, len(tiny().widths)), dtype=np.uint8)
    with np.errstate(all="ignore"):
        return load_accuracy_model(path, tiny()).predict_matrix(matrix)


_RUN = {"schema": 1, "space": str(TINY), "objective": ["max:top1", "min:macs"], "trials": 30}
_HEADER = {"schema": 1, "choices": "", "evaluators": ["costs", "table", "training"]}


class _Judge:
    provides, seconds, note = ("top1",), 1.0, ""

    def __call__(self, candidates: Any) -> Any:
        return {"top1": np.full(len(candidates), 0.5)}

    def deviation(self, candidates: Any) -> Any:
        return {}

    def __str__(self) -> str:
        return "judge"


@cache
def _problem() -> Problem:
    return Problem(
        space=tiny(),
        evaluators=(create_costs(tiny()), _Judge()),
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
    arch = _yaml(to_mapping(replace(_arch(), name="001")))
    return {
        "run.yaml": _yaml(_RUN),
        "journal.jsonl": _lines(records),
        "heartbeat.json": _json(beat),
        "pareto.csv": b"name,best,top1\n001,True,0.5\n002,False,0.4\n",
        "archs/001.yaml": arch,
        "archs/002.yaml": arch,
    }


def _resumed(path: Path) -> object:
    header = {"choices": tiny().fingerprint}
    with closing(open_journal(path.parent / "journal.jsonl")) as journal:
        session = Session(_problem(), create_random(_problem(), seed=1), journal, header=header)
        return session.trials


def _member(path: Path) -> object:
    front_names(path.parent)
    return find_architecture(f"{path.parent}:best")


def _pipeline() -> Any:
    return {
        "schema": 1,
        "data": "digits",
        "latency_table": "pixel1",
        "seed": 1,
        "search": {"space": "mbconv", "trials": 10, "limit": ["latency_ms<=80"]},
        "train": {"recipe": "quick", "epochs": 2, "lr": 0.1},
        "netadapt": {"target_ms": 5.0, "prune": ["hidden"], "epochs": 1},
        "scale": {"networks": {"big": {"phi": 1.0, "alpha": 1.2}}, "epochs": 1},
        "export": {"format": ["onnx"]},
    }


@cache
def _plan() -> Any:
    from nas.layers import lower

    units = lower(_arch())
    jobs = [Job(name="net", role="reference", units=units)]
    jobs += [Job(name=unit.key, role=UNIT, units=(unit,)) for unit in units[:3]]
    return json.loads(json.dumps(plan_mapping(Plan(name="p", jobs=tuple(jobs)))))


def _samples() -> Any:
    machine = {
        "cpu": "c", "cpu_count": 8, "cores": [1], "governor": "", "clock_mhz": 1, "system": "s",
        "python": "3", "date": "2026-11-22", "backend": "fake",
    }  # fmt: skip
    visits = [{"visit": [job, at, 1.0, 1.5]} for at in (0.1, 0.2, 0.3) for job in range(3)]
    head = header(_plan(), runtime="fake 1", threads=1, dtype="fp32")
    return [head, {"begin": machine}, *visits, {"refused": 3, "error": "no"}]


def _sampled(path: Path) -> object:
    samples = read_samples(path)
    return plan_from(samples.header, source=str(path)), samples.machine, samples.references


def _bundle(manifest: Any = None) -> bytes:
    models = [f"models/{i:04d}.onnx" for i in range(4)]
    whole = {"schema": 1, "version": "1", "backend": "onnxruntime", "dtype": "fp32",
             "plan": _plan(), "models": models}  # fmt: skip
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(on_target.MANIFEST, json.dumps(whole if manifest is None else manifest))
        for name in models:
            archive.writestr(name, b"model" * 20)
    return file.getvalue()


def _manifest(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read(on_target.MANIFEST))


def _unpacked(path: Path) -> object:
    with on_target.open_bundle(path) as archive:
        found = on_target.read_manifest(archive, path)
        head = header(found.plan, runtime="r", threads=1, dtype=found.dtype)
        return [head, *(on_target._content(archive, path, name) for name in found.models)]


@cache
def _pruned() -> Mapping[str, bytes]:
    point = Point(latency_ms=5.0, macs=10, params=3, held_out=0.5)
    tried = Tried(group="stages.0.0.hidden", was=16, width=8, point=point, seconds=1.5)
    failed = Tried(group="stem.0.out", was=16, width=8, error="diverged")
    return {
        "run.yaml": _yaml(
            {"schema": 1, "settings": {"step": "5%", "shortlist": 0}, "recipe": {"lr": 0.1}}
        ),
        "journal.jsonl": _lines(
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
    with closing(Lines(path, writer="another")) as lines:
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
        "pipeline.yaml": _yaml(_pipeline()),
        "pipeline.jsonl": _lines([{"schema": 1}, {"stage": "train", "settings": {}, "done": done}]),
    }


def _stages_reopened(path: Path) -> object:
    from nas.pipeline.journal import PipelineFolder

    config = _config(path.parent.parent)
    with closing(PipelineFolder(path.parent, config, {"data": "0"})) as folder:
        return folder.done


@cache
def _config(folder: Path) -> Any:
    path = folder / "sound.yaml"
    path.write_bytes(_yaml(_pipeline()))
    return read_pipeline(path)


ROWS: dict[str, Row] = {
    "space": Row(
        files=lambda: {"x.yaml": TINY.read_bytes()}, spoilt="x.yaml", read=load_space, **_YAML
    ),
    "architecture": Row(
        files=_one("x.yaml", lambda: to_mapping(_arch()), _yaml),
        spoilt="x.yaml",
        read=load_architecture,
        **_YAML,
    ),
    "architecture as JSON": Row(
        files=_one("x.json", lambda: to_mapping(_arch()), _json),
        spoilt="x.json",
        read=load_architecture,
        **_JSON,
    ),
    "latency table": Row(
        files=_one("x.json", _table, _json), spoilt="x.json", read=_predicted, **_JSON
    ),
    "latency table as YAML": Row(
        files=_one("x.yaml", _table, _yaml), spoilt="x.yaml", read=_predicted, **_YAML
    ),
    "table of ofa": Row(
        files=_one("x.yaml", partial(_dialect, "ofa"), _yaml),
        spoilt="x.yaml",
        read=lambda path: read_dialect("ofa", [path]),
        **_YAML,
    ),
    "table of proxylessnas": Row(
        files=_one("x.yaml", partial(_dialect, "proxylessnas"), _yaml),
        spoilt="x.yaml",
        read=lambda path: read_dialect("proxylessnas", [path]),
        **_YAML,
    ),
    "accuracy model": Row(
        files=cache(lambda: {"x.npz": _model()}),
        spoilt="x.npz",
        read=_predict_all,
        hear=_model_header,
        say=_with_header,
    ),
    "run.yaml": Row(
        files=_one("run.yaml", _RUN, _yaml), spoilt="run.yaml", read=read_config, **_YAML
    ),
    "journal": Row(
        files=_run,
        spoilt="journal.jsonl",
        read=lambda path: (read_status(path.parent), read_examples([path.parent])),
        **_LINES,
    ),
    "journal of a search that goes on": Row(
        files=_run, spoilt="journal.jsonl", read=_resumed, **_LINES
    ),
    "heartbeat": Row(
        files=_run,
        spoilt="heartbeat.json",
        read=lambda path: read_status(path.parent).heartbeat,
        **_JSON,
    ),
    "front": Row(files=_run, spoilt="pareto.csv", read=_member),
    "pipeline.yaml": Row(
        files=_one("x.yaml", _pipeline, _yaml), spoilt="x.yaml", read=read_pipeline, **_YAML
    ),
    "journal of a pipeline": Row(
        files=_stages, spoilt="pipeline.jsonl", read=_stages_reopened, **_LINES
    ),
    "samples": Row(
        files=_one("x.jsonl", _samples, _lines),
        spoilt="x.jsonl",
        read=_sampled,
        **_LINES,
    ),
    "bundle": Row(
        files=cache(lambda: {"x.zip": _bundle()}),
        spoilt="x.zip",
        read=_unpacked,
        hear=_manifest,
        say=_bundle,
    ),
    "journal of NetAdapt": Row(files=_pruned, spoilt="journal.jsonl", read=_reopened, **_LINES),
    "run.yaml of NetAdapt": Row(files=_pruned, spoilt="run.yaml", read=_reopened, **_YAML),
    "journal of a grid": Row(
        files=_one("x.jsonl", [_GRID, {"fingerprint": "a", "score": 0.5},
                               {"fingerprint": "b", "error": "e"}], _lines),
        spoilt="x.jsonl",
        read=_grid,
        **_LINES,
    ),
}  # fmt: skip
