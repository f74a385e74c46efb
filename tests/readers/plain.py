"""Readers of single files: architectures, spaces, tables, models, samples, bundles."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from readers.rows import (
    DATA,
    JSON,
    LINES,
    TINY,
    YAML,
    Row,
    arch,
    from_yaml,
    one,
    tiny,
    to_json,
    to_lines,
    to_yaml,
)

from nas.accuracy.features import NAMES
from nas.accuracy.judges import SQUARED, Judges, JudgesHeader, load_judges, write_judges
from nas.accuracy.mlp import MLP
from nas.accuracy.predictor import AccuracyModel, load_accuracy_model, write_accuracy_model
from nas.exporting.ofa import net_config
from nas.latency.correction import FEATURES, Correction
from nas.latency.file import load_table, table_mapping
from nas.latency.importing import read_dialect
from nas.latency.measure import on_target
from nas.latency.measure.plan import MeasuringJob, Plan
from nas.latency.measure.plan import from_mapping as plan_from
from nas.latency.measure.plan import to_mapping as plan_mapping
from nas.latency.measure.samples import UNIT, header, read_samples
from nas.latency.provenance import Provenance, Validation
from nas.latency.table import Entry
from nas.network.blocks import to_mapping
from nas.network.zoo import load_architecture
from nas.space.file import load_space
from nas.training.recipe_files import load_recipe, read_recipe
from nas.training.recipe_files import to_mapping as recipe_mapping


def _table() -> Any:
    """Return the content of the file of a table with a value in every field."""
    table = replace(
        load_table("pixel1"),
        entries={"a unit": Entry(ms=1.5, low_ms=1.25, high_ms=1.75, isolated_ms=2.0)},
        lacks={"another": "no kernel"},
        correction=Correction(**dict.fromkeys(FEATURES, 0.5)),
        provenance=Provenance(
            backend="fake", space="mnasnet_b0", cpu="a", cpu_count=8, cores=(2, 3), governor="",
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


def _table_with_eras() -> Any:
    """Return the same in the form of version 0.1."""
    content = _table()
    era = {"runtime": content.pop("runtime"), "factor": 2.0, "coefficients": {"swish": 1.0}}
    return {**content, "default_era": "a", "eras": {"a": era, "b": {**era, "factor": 1.0}}}


def _predicted(path: Path) -> object:
    return load_table(path).predict(arch())


def _dialect(name: str) -> Any:
    """Return five rows of a table of another project."""
    found = {"ofa": "ofa_tables/224_lookup_table.yaml", "proxylessnas": "proxylessnas_table.yaml"}
    content = from_yaml((DATA / found[name]).read_bytes())
    return dict(list(content.items())[:5])


@cache
def _model() -> bytes:
    inputs = int(tiny().widths.sum())
    network = MLP(
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


@cache
def _judges() -> bytes:
    count = len(NAMES)
    judges = Judges(
        header=JudgesHeader(schema=1, metric="top1", families=("a",), source="s"),
        mean=np.zeros(count, np.float32),
        unit=np.ones(count, np.float32),
        weights=np.ones((1, count + len(SQUARED) + 1), np.float32),
        known=np.zeros((2, count), np.float32),
        family=np.zeros(2, np.float32),
    )
    return _written(".npz", partial(write_judges, judges))


def _model_header(content: bytes) -> Any:
    with np.load(io.BytesIO(content)) as arrays:
        return json.loads(str(arrays["header"]))


def _with_header(header: Any, whole: Callable[[], bytes] = _model) -> bytes:
    with np.load(io.BytesIO(whole())) as arrays:
        content = {**arrays, "header": np.array(json.dumps(header))}
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def _judged(path: Path) -> object:
    with np.errstate(all="ignore"):
        return load_judges(path)(np.zeros((2, len(NAMES))))


def _predict_all(path: Path) -> object:
    matrix = np.zeros((1, len(tiny().widths)), dtype=np.uint8)
    with np.errstate(all="ignore"):
        return load_accuracy_model(path, tiny()).predict_matrix(matrix)


@cache
def _plan() -> Any:
    from nas.network.lowering import lower

    units = lower(arch())
    jobs = [MeasuringJob(name="net", role="reference", units=units)]
    jobs += [MeasuringJob(name=unit.key, role=UNIT, units=(unit,)) for unit in units[:3]]
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


ROWS: dict[str, Row] = {
    "space": Row(
        files=lambda: {"x.yaml": TINY.read_bytes()}, spoilt="x.yaml", read=load_space, **YAML
    ),
    "architecture": Row(
        files=one("x.yaml", lambda: to_mapping(arch()), to_yaml),
        spoilt="x.yaml",
        read=load_architecture,
        **YAML,
    ),
    "recipe": Row(
        files=one("x.yaml", lambda: recipe_mapping(load_recipe("adamw")), to_yaml),
        spoilt="x.yaml",
        read=read_recipe,
        **YAML,
    ),
    "architecture as JSON": Row(
        files=one("x.json", lambda: to_mapping(arch()), to_json),
        spoilt="x.json",
        read=load_architecture,
        **JSON,
    ),
    "net.config": Row(
        files=one("net.config", lambda: net_config(load_architecture("mobilenet_v2")), to_json),
        spoilt="net.config",
        read=load_architecture,
        **JSON,
    ),
    "latency table": Row(
        files=one("x.json", _table, to_json), spoilt="x.json", read=_predicted, **JSON
    ),
    "latency table as YAML": Row(
        files=one("x.yaml", _table, to_yaml), spoilt="x.yaml", read=_predicted, **YAML
    ),
    "latency table with eras": Row(
        files=one("x.json", _table_with_eras, to_json), spoilt="x.json", read=_predicted, **JSON
    ),
    "table of ofa": Row(
        files=one("x.yaml", partial(_dialect, "ofa"), to_yaml),
        spoilt="x.yaml",
        read=lambda path: read_dialect("ofa", [path]),
        **YAML,
    ),
    "table of proxylessnas": Row(
        files=one("x.yaml", partial(_dialect, "proxylessnas"), to_yaml),
        spoilt="x.yaml",
        read=lambda path: read_dialect("proxylessnas", [path]),
        **YAML,
    ),
    "accuracy model": Row(
        files=cache(lambda: {"x.npz": _model()}),
        spoilt="x.npz",
        read=_predict_all,
        hear=_model_header,
        say=_with_header,
    ),
    "judges of accuracies": Row(
        files=cache(lambda: {"x.npz": _judges()}),
        spoilt="x.npz",
        read=_judged,
        hear=_model_header,
        say=partial(_with_header, whole=_judges),
    ),
    "samples": Row(
        files=one("x.jsonl", _samples, to_lines),
        spoilt="x.jsonl",
        read=_sampled,
        **LINES,
    ),
    "bundle": Row(
        files=cache(lambda: {"x.zip": _bundle()}),
        spoilt="x.zip",
        read=_unpacked,
        hear=_manifest,
        say=_bundle,
    ),
}  # fmt: skip
