"""int8 on onnxruntime: what runs in bytes, and that it still computes the network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from nas.exporting.onnx import units_to_onnx  # noqa: E402
from nas.latency.backends._qdq import to_int8  # noqa: E402  # skipped above where there is no onnx
from nas.latency.backends.onnxruntime import create  # noqa: E402

FLOAT_ACTS = {"HardSigmoid", "Mul", "DequantizeLinear", "QuantizeLinear"}
"""What h-swish becomes: onnxruntime has no int8 kernel for it."""


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


@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet_a1", "efficientnet_b0"])
def test_everything_between_the_ends_runs_in_int8(name: str, tmp_path: Path) -> None:
    operators = optimised(units_of(name), tmp_path)
    inner = {op for op in operators if not op.startswith("QLinear")}
    assert inner <= {"QuantizeLinear", "DequantizeLinear", "Transpose", "Flatten", "QGemm"}
    assert operators.count("QuantizeLinear") == operators.count("DequantizeLinear") == 1
    assert operators.count("Transpose") <= 2
    assert operators.count("QLinearConv") > 50


def test_hswish_alone_stays_float(tmp_path: Path) -> None:
    operators = optimised(units_of("mobilenet_v3_large"), tmp_path)
    inner = {op for op in operators if not op.startswith("QLinear")}
    assert inner <= FLOAT_ACTS | {"Transpose", "Flatten", "QGemm"}
    assert operators.count("HardSigmoid") == 21 + 8  # activations and gates
    assert {"QLinearConv", "QLinearAdd", "QLinearGlobalAveragePool"} <= set(operators)


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
    quantised = to_int8(model)
    onnx.checker.check_model(quantised, full_check=True)
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    exact, rounded = output(model, images), output(quantised, images)
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.98


def test_an_int8_model_has_a_quarter_of_the_size() -> None:
    units = units_of("mobilenet_v2")
    sizes = [len(create(dtype=dtype).compile(units)) for dtype in ("int8", "fp32")]
    assert 0.25 < sizes[0] / sizes[1] < 0.3
