"""Trained networks keep their accuracy in int8."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")

from nas.core.doctor import instruction_sets  # noqa: E402
from nas.core.errors import BadValue, NasError  # noqa: E402
from nas.core.exact_int8 import overflows  # noqa: E402
from nas.exporting.int8.ranges import IOTypes, QuantizationGrid, grid_of  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from nas.supernet.extract import save_checkpoint  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.int8.calibration import calibrate  # noqa: E402
from nas.training.int8.choice import QuantizationSettings  # noqa: E402
from nas.training.int8.quantize import quantize  # noqa: E402
from nas.training.recipe_files import find_recipe  # noqa: E402
from nas.training.recipes import adapt  # noqa: E402
from nas.training.run import train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


def network() -> Architecture:
    def mbconv(before: int, after: int, stride: int) -> Block:
        return Block(
            kind="mbconv", in_channels=before, out_channels=after, hidden_channels=3 * before,
            kernel=3, stride=stride, act="hswish", se_channels=8, gate="hsigmoid",
        )  # fmt: skip

    return Architecture(
        resolution=32,
        stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2, act="hswish"),),
        stages=((mbconv(8, 16, 2), mbconv(16, 16, 1)), (mbconv(16, 24, 2),)),
        head=(
            Block(kind="pool", in_channels=24, out_channels=24),
            Block(kind="linear", in_channels=24, out_channels=10, act="none"),
        ),
        name="small",
    )


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained(digits: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8") / "trained"
    train(network(), digits, adapt(find_recipe("auto"), epochs=4), out=folder)
    return folder


def test_accuracy_is_kept(trained: Path, digits: Data) -> None:
    found = quantize(load_checkpoint(str(trained)), digits, QuantizationSettings(images=64))
    assert found.metric == "top1"
    assert found.before > 0.8
    assert found.after > found.before - 0.02
    assert found.floats == ()
    assert len(found.noise) == 17
    assert all(0 <= noise < 0.1 for noise in found.noise.values())


def with_outlier(weights: Any) -> dict[str, Any]:
    """Return weights that compute the same, with a channel so wide that others share few steps."""
    worst = {name: value.copy() for name, value in weights.items()}
    far = 300
    worst["stages.1.0.project.norm.bias"][0] += far
    worst["head.1.linear.bias"] -= far * worst["head.1.linear.weight"][:, 0]
    return worst


def test_layers_stay_in_float_until_the_accuracy_is_kept(trained: Path, digits: Data) -> None:
    found = load_checkpoint(str(trained))
    broken = replace(found, weights=with_outlier(found.weights))
    plain = quantize(broken, digits, QuantizationSettings(images=64, calibration="minmax"))
    drop = (plain.before - plain.after) / 2
    assert drop > 0.01
    kept = quantize(
        broken, digits, QuantizationSettings(images=64, calibration="minmax", max_drop=drop)
    )
    assert kept.before - kept.after <= drop
    assert 0 < len(kept.floats) < len(kept.noise)


def broken(found: Checkpoint, change: Callable[[Any], Any]) -> Checkpoint:
    name = "stages.0.0.expand.weight"
    return replace(found, weights={**found.weights, name: change(found.weights[name])})


def test_bad_calibrations_say_what_is_wrong(trained: Path, digits: Data) -> None:
    found = load_checkpoint(str(trained))
    with pytest.raises(NasError, match="calibration needs 16 images or more, and has 3"):
        quantize(found, digits, QuantizationSettings(images=3))
    with pytest.raises(NasError, match=r"stages\.0\.0\.expand.* is not finite .* NaNs"):
        quantize(broken(found, lambda w: w * np.nan), digits, QuantizationSettings(images=32))
    with pytest.raises(BadValue, match="max_drop must be a fraction"):
        QuantizationSettings(max_drop=2)
    with pytest.raises(BadValue, match="calibration must be one of auto, minmax"):
        QuantizationSettings(calibration="best")


def test_a_value_that_is_always_zero_is_named(trained: Path, digits: Data) -> None:
    found = load_checkpoint(str(trained))
    weights = {**found.weights}
    for name in ("weight", "norm.weight", "norm.bias"):
        key = f"stages.0.0.expand.{name}"
        weights[key] = np.zeros_like(weights[key])
    key = "stages.0.0.expand.norm.running_mean"
    weights[key] = np.zeros_like(weights[key])
    with pytest.raises(NasError, match=r"stages\.0\.0\.expand is 0 for all calibration images"):
        quantize(replace(found, weights=weights), digits, QuantizationSettings(images=32))


def test_histograms_cover_the_images(trained: Path, digits: Data) -> None:
    from nas.exporting.onnx import to_onnx

    found = load_checkpoint(str(trained))
    images = np.random.default_rng(0).standard_normal((20, 3, 32, 32), np.float32)
    calibration = calibrate(to_onnx(found.arch, found.weights), [images[:12], images[12:]])
    first = calibration.histograms["input"]
    assert (first.low, first.high) == (images.min(), images.max())
    assert first.counts.sum() == images.size
    flat = images.reshape(20, -1)
    usual = flat.min(1).mean(), flat.max(1).mean()
    np.testing.assert_allclose(first.usual, usual, rtol=1e-5)
    assert grid_of(first, by="average") == QuantizationGrid.of(*first.usual)
    np.testing.assert_allclose(calibration.means["input"], images.mean((0, 2, 3)), atol=1e-6)


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_the_command_writes_a_folder(trained: Path, tmp_path: Path, nas: Any, backend: str) -> None:
    if backend == "litert":
        pytest.importorskip("ai_edge_litert")
    out = tmp_path / "q"
    said = nas("quantize", str(trained), "--data", "digits", "--out", str(out), "--images", "32",
               "--calibration", "mse", "--rounds", "2", "--backend", backend)  # fmt: skip
    assert said.code == 0, said.err
    assert "17 layers; ranges by mse of 32 images" in said.out
    overflow = backend == "onnxruntime" and overflows(instruction_sets())
    assert ("session.x64quantprecision=1" in said.err) == overflow
    models = {"model.onnx"} if backend == "onnxruntime" else {"model.tflite", "model.tflite.json"}
    found = {path.name for path in out.iterdir()}
    assert found == {*models, "quantization.json", "sensitivity.png"}
    facts = json.loads((out / "quantization.json").read_text())
    assert facts["int8"]["top1"] > facts["float"]["top1"] - 0.03
    assert facts["float"]["top1"] > 0.8
    assert facts["int8"]["latency_ms"] > 0


def test_both_runtimes_agree_in_int8(trained: Path, digits: Data) -> None:
    pytest.importorskip("ai_edge_litert")
    from nas.training.int8 import litert

    found = load_checkpoint(str(trained))
    quantized = quantize(found, digits, QuantizationSettings(images=64, calibration="mse"))
    plain, whole = litert.to_int8(found, quantized)
    assert len(whole) < len(plain)
    assert litert.score(found, digits, plain) == pytest.approx(quantized.before, abs=0.003)
    score = litert.score(found, digits, whole)
    assert score == pytest.approx(quantized.after, abs=0.012)
    ends = litert.finished(quantized, IOTypes(input=True, output=True))
    assert litert.score(found, digits, ends) == score  # its inner bytes are the same


def test_litert_has_layers_in_float_until_the_accuracy_is_kept(
    trained: Path, digits: Data, tmp_path: Path, nas: Any
) -> None:
    pytest.importorskip("ai_edge_litert")
    from nas.training.int8 import litert

    found = load_checkpoint(str(trained))
    worst = replace(found, weights=with_outlier(found.weights))
    path = tmp_path / "worst.safetensors"
    save_checkpoint(path, worst)
    out = tmp_path / "q"
    args = ("quantize", str(path), "--data", "digits", "--images", "32", "--backend", "litert",
            "--calibration", "minmax", "--rounds", "2")  # fmt: skip
    assert nas(*args, "--out", str(tmp_path / "whole")).code == 0
    whole = json.loads((tmp_path / "whole" / "quantization.json").read_text())
    assert whole["floats"] == []
    assert whole["float"]["top1"] - whole["int8"]["top1"] > 0.01
    said = nas(*args, "--out", str(out), "--max-drop", "0.01")
    assert said.code == 0, said.err
    facts = json.loads((out / "quantization.json").read_text())
    assert 0 < len(facts["floats"]) < len(facts["noise"])
    assert f"17 layers, {len(facts['floats'])} in float" in said.out
    assert facts["float"]["top1"] - facts["int8"]["top1"] <= 0.01
    content = (out / "model.tflite").read_bytes()
    assert litert.score(worst, digits, content) == facts["int8"]["top1"]


def test_images_of_another_size_are_refused(trained: Path) -> None:
    from nas.exporting.onnx import to_onnx

    found = load_checkpoint(str(trained))
    graph = to_onnx(found.arch, found.weights)
    gray = np.zeros((20, 1, 32, 32), np.float32)
    with pytest.raises(NasError, match="images are 1x32x32, and input takes 3xanyxany; give"):
        calibrate(graph, [gray])


def test_an_operator_that_onnxruntime_lacks_is_named_with_its_layer(trained: Path) -> None:
    from nas.exporting.onnx import to_onnx
    from nas.training.int8.runtime import session_of

    found = load_checkpoint(str(trained))
    graph = to_onnx(found.arch, found.weights)
    graph.opset_import[0].version = 13
    with pytest.raises(NasError) as caught:
        session_of(graph)
    assert "no HardSwish as stem.0.conv.hswish needs it; update onnxruntime" in str(caught.value)


def test_an_operator_that_litert_lacks_is_named_with_its_layer() -> None:
    pytest.importorskip("ai_edge_litert")
    from nas.exporting._tflite_writer import TfliteWriter
    from nas.exporting.tflite_file import pack
    from nas.training.int8.litert import LiteRtModel

    writer = TfliteWriter({})
    start = writer.begin((1, 4, 4, 3))
    made = writer.custom("Nothing", (start,), {"stages.0.0.add": (1, 4, 4, 3)}, {})
    ends = (writer.inputs, [*made.values()])
    content = pack(writer.tensors, writer.operators, ends, metadata={}, description="broken")
    with pytest.raises(NasError) as caught:
        LiteRtModel(content)
    assert "no Nothing as stages.0.0.add needs it; update ai-edge-litert" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_graphs_with_bytes_at_their_ends(
    trained: Path, tmp_path: Path, nas: Any, backend: str
) -> None:
    if backend == "litert":
        pytest.importorskip("ai_edge_litert")
    out = tmp_path / "q"
    said = nas("quantize", str(trained), "--data", "digits", "--out", str(out), "--images", "32",
               "--calibration", "mse", "--rounds", "2", "--backend", backend,
               "--input", "int8", "--output", "int8")  # fmt: skip
    assert said.code == 0, said.err
    facts = json.loads((out / "quantization.json").read_text())
    dtype = "int8" if backend == "litert" else "uint8"
    assert {facts[end]["dtype"] for end in ("input", "logits")} == {dtype}
    assert facts["logits"]["scale"] > 0
    for given in (out, out / ("model.tflite" if backend == "litert" else "model.onnx")):
        said = nas("quantize", str(given), "--data", "digits", "--out", str(tmp_path / "again"))
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "quantized already" in said.err
