"""int8 on onnxruntime: the operators on bytes, and correct outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.network.detectors import detector_of
from nas.network.layers import Unit
from nas.network.lowering import alone, inputs_of, lower
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from nas.exporting.int8.qdq import assumed_grids, to_qdq  # noqa: E402
from nas.exporting.onnx import units_to_onnx  # noqa: E402  # skipped above without onnx
from nas.latency.backends.onnxruntime import create  # noqa: E402


def units_of(name: str) -> tuple[Unit, ...]:
    return lower(scale_resolution(load_architecture(name), 64))


def optimised(units: Sequence[Unit], folder: Path) -> list[str]:
    """Return the operators that onnxruntime runs for the int8 model of `units`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    model = create(dtype="int8").compile(units)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


NAMES = ["mobilenet_v2", "mnasnet_a1", "efficientnet_b0", "mobilenet_v3_small"]
INNER = {"QuantizeLinear", "DequantizeLinear", "Transpose", "Flatten", "QGemm", "Clip"}


@pytest.mark.parametrize("name", NAMES)
def test_everything_between_the_ends_runs_in_int8(name: str, tmp_path: Path) -> None:
    operators = optimised(units_of(name), tmp_path)
    assert {op for op in operators if not op.startswith("QLinear")} <= INNER
    assert operators.count("QuantizeLinear") == operators.count("DequantizeLinear") == 1
    assert operators.count("Transpose") <= 2
    assert operators.count("QLinearConv") > 50


def test_a_unit_alone_runs_in_int8_up_to_its_last_activation(tmp_path: Path) -> None:
    units = [unit for unit in units_of("mobilenet_v3_small") if unit.block.act == "hswish"]
    operators = optimised(units[:1], tmp_path)
    assert {op for op in operators if not op.startswith("QLinear")} <= INNER
    assert operators.count("QLinearMul") == 1


def test_units_that_join_maps_run_in_int8(tmp_path: Path) -> None:
    detector = detector_of("yolo:mobilenet_v3_small", load_architecture)
    joining = [unit for unit in lower(detector) if len(inputs_of([unit])) > 1]
    assert joining
    for unit in joining:
        operators = optimised([alone(unit)], tmp_path)
        assert {op for op in operators if not op.startswith("QLinear")} <= INNER, unit.name


def output(model: Any, images: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": images})[0]


def test_the_int8_graph_is_valid_and_computes_the_network() -> None:
    model = units_to_onnx(units_of("mobilenet_v2"), batch=1)
    quantised = to_qdq(model, assumed_grids(model))
    onnx.checker.check_model(quantised, full_check=True)
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    exact, rounded = output(model, images), output(quantised, images)
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.98


def test_an_int8_model_has_a_quarter_of_the_size() -> None:
    units = units_of("mobilenet_v2")
    sizes = [len(create(dtype=dtype).compile(units)) for dtype in ("int8", "fp32")]
    assert 0.25 < sizes[0] / sizes[1] < 0.3
