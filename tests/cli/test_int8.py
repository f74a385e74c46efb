"""Pruning and pipelines for int8: they end with a quantized network and its accuracy."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nas.core.errors import BadFile  # noqa: E402
from nas.latency.file import load_table, write_table  # noqa: E402
from nas.network.checkpoint import load_checkpoint  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.pipeline.config import read_pipeline  # noqa: E402
from nas.pipeline.quantized import quantize_into  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.int8.choice import QuantizationSettings  # noqa: E402
from nas.training.int8.quantize import score_graph  # noqa: E402
from nas.training.recipes import adapt, quick  # noqa: E402
from nas.training.run import train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

Nas = Callable[..., Any]
ROOT = Path(__file__).parents[2]
SMALL = {
    "schema": 1,
    "name": "small",
    "resolution": 32,
    "stem": [{"kind": "conv", "in_channels": 3, "out_channels": 16, "kernel": 3, "stride": 4}],
    "stages": [
        [{"kind": "mbconv", "in_channels": 16, "out_channels": 24, "hidden_channels": 64,
          "kernel": 3, "stride": 2}],
    ],
    "head": [
        {"kind": "pool", "in_channels": 24, "out_channels": 24},
        {"kind": "linear", "in_channels": 24, "out_channels": 10, "act": "none"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained network in `run`, and a table in int8."""
    found = tmp_path_factory.mktemp("int8")
    (found / "small.yaml").write_text(yaml.safe_dump(SMALL))
    write_table(replace(load_table("pixel1"), dtype="int8"), found / "phone.yaml")
    torch.set_num_threads(1)
    arch = load_architecture(found / "small.yaml")
    train(arch, load_data("digits"), adapt(quick(), epochs=2), out=found / "run")
    return found


def is_int8(path: Path) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)


def test_a_pruning_for_int8_ends_in_int8(folder: Path, nas: Nas, tmp_path: Path) -> None:
    table, out = str(folder / "phone.yaml"), tmp_path / "out"
    target = 0.9 * load_table(table).predict(load_architecture(folder / "small.yaml")).ms
    words = ("--latency-table", table, "--dtype", "int8", "--target-ms", repr(target))
    how = ("--data", "digits", "--step", "10%", "--steps", "1", "--final-epochs", "0")
    said = nas(
        "netadapt", str(folder / "run"), *words, *how, "--measure-rounds", "0", "--out", str(out)
    )
    assert said.code == 0, said.err
    assert "in int8: top1 " in said.out
    found = json.loads((out / "result.json").read_text())["int8"]
    assert is_int8(out / found["path"])
    final, path = str(out / "final.safetensors"), tmp_path / "a.onnx"
    again = quantize_into(final, load_data("digits"), path, settings=QuantizationSettings())
    assert (again.before, again.after) == (found["float"], found["int8"])
    assert again.text in said.out


def test_a_pruning_for_int8_needs_a_table_in_int8(folder: Path, nas: Nas) -> None:
    words = ("--latency-table", "pixel1", "--dtype", "int8", "--target-ms", "1", "--data", "digits")
    said = nas("netadapt", str(folder / "run"), *words)
    assert said.code == 2
    assert "dtype int8 needs a latency table in int8, and pixel1 is in fp32" in said.err


def test_a_pipeline_for_int8_ends_in_int8(folder: Path, nas: Nas, tmp_path: Path) -> None:
    asked = {
        "schema": 1,
        "data": "digits",
        "latency_table": str(folder / "phone.yaml"),
        "dtype": "int8",
        "device": "cpu",
        "measure_rounds": 0,
        "search": {
            "space": str(ROOT / "tests" / "data" / "tiny.yaml"),
            "evaluator": "proxy:epochs=1,rungs=1,int8=true",
            "limit": ["latency_ms<=0.35"],
            "trials": 1,
            "allow_extrapolation": True,
        },
        "train": {"epochs": 1},
    }
    path, out = tmp_path / "run.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(asked))
    config = read_pipeline(path)
    assert config.search.dtype == "int8"
    said = nas("pipeline", str(path), "--out", str(out))
    assert said.code == 0, said.err
    found = json.loads((out / "report" / "result.json").read_text())
    (file,) = found["exported"]
    assert is_int8(out / file["path"])
    trained, whole = found["networks"][-2:]
    assert (whole["part"], whole["name"]) == ("quantized", "trained-int8")
    assert whole["latency_ms"] == trained["latency_ms"]
    assert "quantized: trained-int8" in said.out
    assert load_checkpoint(str(out)).arch.fingerprint == trained["fingerprint"]
    assert nas("pipeline", str(path), "--out", str(out)).code == 0


def test_a_pipeline_has_one_dtype(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    text = (ROOT / "experiments" / "pipeline" / "run.yaml").read_text()
    path.write_text(f"{text}\ndtype: fp32,int8\n")
    with pytest.raises(BadFile, match="dtype must be"):
        read_pipeline(path)


QUANTIZED = {
    "schema": 1,
    "data": "digits",
    "latency_table": "pixel1",
    "device": "cpu",
    "measure_rounds": 0,
    "search": {
        "space": str(ROOT / "tests" / "data" / "tiny.yaml"),
        "evaluator": "proxy:epochs=1,rungs=1",
        "limit": ["latency_ms<=0.35"],
        "trials": 1,
        "allow_extrapolation": True,
    },
    "train": {"epochs": 1},
}


def piped(nas: Nas, tmp_path: Path, **quantize: Any) -> Any:
    path, out = tmp_path / "run.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump({**QUANTIZED, "quantize": quantize}))
    return nas("pipeline", str(path), "--out", str(out))


def test_a_pipeline_in_float_may_end_in_int8(nas: Nas, tmp_path: Path) -> None:
    said = piped(nas, tmp_path, max_drop=0.5, images=32, epochs=1)
    assert said.code == 0, said.err
    out = tmp_path / "out"
    found = json.loads((out / "report" / "result.json").read_text())
    trained, whole = found["networks"][-2:]
    assert (whole["part"], whole["name"]) == ("quantized", "trained-int8")
    assert whole["latency_ms"] is None  # the table is in fp32
    assert trained["latency_ms"] > 0
    (file,) = found["exported"]
    assert file["path"] == "quantize/trained-int8.onnx"
    assert is_int8(out / file["path"])
    rounded = load_checkpoint(str(out / "quantize" / "trained"))
    assert rounded.ranges
    assert whole["top1"] == score_graph(rounded, load_data("digits"), onnx.load(out / file["path"]))
    again = piped(nas, tmp_path, max_drop=0.5, images=32, epochs=1)
    assert "quantize: finished before" in again.err


def test_a_pipeline_may_end_in_int8_for_litert(nas: Nas, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    said = piped(nas, tmp_path, backend="litert", images=32, calibration="mse", max_drop=0.5)
    assert said.code == 0, said.err
    assert "as litert runs both" in said.err
    assert (tmp_path / "out" / "quantize" / "trained-int8.tflite").is_file()


@pytest.mark.parametrize(
    ("quantize", "problem"),
    [
        ({"max_drop": 2}, "max_drop must be a number from 0 to 1"),
        ({"calibration": "best"}, "calibration must be one of"),
        ({"drop": 1}, "drop"),
        ({"recipe": "int9"}, "int9"),
    ],
)
def test_a_pipeline_refuses_a_quantization(
    nas: Nas, tmp_path: Path, quantize: dict[str, Any], problem: str
) -> None:
    said = piped(nas, tmp_path, **quantize)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert problem in said.err
    assert not (tmp_path / "out").exists()
