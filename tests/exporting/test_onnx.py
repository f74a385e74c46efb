"""ONNX graphs: valid, runnable, named, and strict about weights. No torch here."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.core.data import bundled
from nas.core.errors import MissingPackage, NasError
from nas.exporting.onnx import to_onnx, units_to_onnx
from nas.network.blocks import Block
from nas.network.layers import Conv, Unit
from nas.network.lowering import lower, lower_block
from nas.network.multipliers import scale_resolution
from nas.network.weights import fold_norm, random_weights, weight_shapes
from nas.network.zoo import load_architecture

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SMALL = ("mobilenet_v1@0.25", "mobilenet_v2@0.35", "mobilenet_v3_small", "mnasnet_a1")


def run(model: Any, shape: Sequence[int]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    return session.run(["logits"], {"input": images})[0]


@pytest.mark.parametrize("name", SMALL)
def test_graph_is_valid_in_full(name: str) -> None:
    model = to_onnx(load_architecture(name))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    values = {value.name: value for value in inferred.graph.value_info}
    assert len(values) == len(model.graph.node) - 1


@pytest.mark.parametrize("name", [n for n in bundled("architectures") if n[-1] not in "4567"])
def test_random_weights_keep_the_signal_in_scale(name: str) -> None:
    logits = run(to_onnx(scale_resolution(load_architecture(name), 64)), (1, 3, 64, 64))
    assert logits.shape == (1, 1000)
    assert 0.05 < logits.std() < 100


def test_batch_size_is_open_or_fixed() -> None:
    arch = scale_resolution(load_architecture("mobilenet_v1@0.25"), 32)
    assert run(to_onnx(arch), (3, 3, 32, 32)).shape == (3, 1000)
    fixed = to_onnx(arch, batch=2)
    dims = fixed.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [2, 3, 32, 32]
    assert run(fixed, (2, 3, 32, 32)).shape == (2, 1000)


def dims(model: Any) -> list[Any]:
    sides = model.graph.input[0].type.tensor_type.shape.dim
    return [side.dim_param or side.dim_value for side in sides]


@pytest.mark.parametrize("side", [33, 75, 96])
def test_height_and_width_are_open_where_the_network_pools(side: int) -> None:
    small, other = (
        scale_resolution(load_architecture("mobilenet_v3_small"), n) for n in (64, side)
    )
    weights = random_weights(lower(small))
    model = to_onnx(small, weights)
    assert dims(model) == ["batch", 3, "height", "width"]
    expected = run(to_onnx(other, weights, batch=2), (2, 3, side, side))
    np.testing.assert_allclose(run(model, (2, 3, side, side)), expected, rtol=1e-5, atol=1e-6)


def test_shortcuts_that_pool_take_any_size() -> None:
    small, large = (chain(side, "pool") for side in (8, 13))
    expected = run(units_to_onnx(large, batch=2), (2, 8, 13, 13))
    np.testing.assert_allclose(run(units_to_onnx(small), (2, 8, 13, 13)), expected, rtol=1e-5)


def test_without_pooling_height_and_width_are_fixed() -> None:
    assert dims(units_to_onnx([unit()])) == ["batch", 8, 9, 9]
    assert dims(units_to_onnx(chain(2, "linear"))) == ["batch", 8, 2, 2]


def chain(side: int, head: str) -> list[Unit]:
    """Return a unit of stride 2 and a head for its output."""
    first = lower_block(
        Block(kind="mbconv", in_channels=8, out_channels=8, hidden_channels=8, kernel=3, stride=2,
              skip="pool", act="hswish", se_channels=2),
        (8, side, side), name="first",
    )  # fmt: skip
    last = Block(kind=head, in_channels=8, out_channels=8)
    return [first, lower_block(last, first.out_shape, name=head)]


@pytest.mark.parametrize("opset", [14, 15, 18, 21, onnx.defs.onnx_opset_version()])
def test_other_opsets_compute_the_same(opset: int) -> None:
    units = chain(9, "pool")
    model = units_to_onnx(units, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import] == [opset]
    if opset <= 21:  # onnxruntime lags behind onnx
        expected = run(units_to_onnx(units), (1, 8, 9, 9))
        np.testing.assert_allclose(run(model, (1, 8, 9, 9)), expected, rtol=1e-5)


def test_each_operator_has_a_lowest_opset() -> None:
    lowest = {"none": 9, "relu": 9, "relu6": 11, "hswish": 14}
    for act, opset in lowest.items():
        model = units_to_onnx([unit(act=act)], opset=opset)
        onnx.checker.check_model(model, full_check=True)
        assert run(model, (1, 8, 9, 9)).shape == (1, 8, 9, 9)
        with pytest.raises(NasError, match=rf"opset must be {opset} or more for \w+, not"):
            units_to_onnx([unit(act=act)], opset=opset - 1)


def test_opsets_and_batches_that_do_not_exist_are_refused() -> None:
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(NasError, match=rf"must be {newest} or less for onnx .*, not {newest + 1}"):
        units_to_onnx([unit()], opset=newest + 1)
    with pytest.raises(NasError, match=r"batch size .* must be 1 or more, not -1"):
        units_to_onnx([unit()], batch=-1)


def test_metadata_say_which_architecture_it_is() -> None:
    arch = load_architecture("mobilenet_v1@0.25")
    model = to_onnx(arch)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found == {
        "fingerprint": arch.fingerprint, "name": "mobilenet_v1@0.25", "resolution": "224",
        "layout": "NCHW",
    }  # fmt: skip


def test_the_seed_decides_the_weights() -> None:
    arch = load_architecture("mobilenet_v1@0.25")
    first, again, other = (to_onnx(arch, seed=s).SerializeToString() for s in (1, 1, 2))
    assert first == again != other


def test_every_value_is_named_after_unit_and_layer() -> None:
    arch = load_architecture("mobilenet_v3_small")
    outputs = [node.output[0] for node in to_onnx(arch).graph.node]
    assert len(set(outputs)) == len(outputs)
    names = {unit.name for unit in lower(arch)}
    assert all(any(out.startswith(f"{n}.") for n in names) for out in outputs[:-1])
    assert outputs[-1] == "logits"


def test_the_norm_is_folded_away() -> None:
    model = to_onnx(load_architecture("mobilenet_v2@0.35"))
    assert {node.op_type for node in model.graph.node} == {
        "Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm",
    }  # fmt: skip


def test_folding_by_hand() -> None:
    weights = {
        "x.weight": np.full((2, 1, 1, 1), 3, np.float32),
        "x.norm.weight": np.array([1, 2], np.float32),
        "x.norm.bias": np.array([0, 1], np.float32),
        "x.norm.running_mean": np.array([5, 0], np.float32),
        "x.norm.running_var": np.array([1, 4], np.float32) - np.float32(1e-3),
    }
    layer = Conv(name="x", in_shape=(1, 4, 4), out_shape=(2, 4, 4))
    weight, bias = fold_norm(weights, "x", layer)
    np.testing.assert_allclose(weight[:, 0, 0, 0], [3, 3], rtol=1e-6)
    np.testing.assert_allclose(bias, [-5, 1], rtol=1e-6)
    weights["x.norm.running_var"] += np.float32(1e-3 - 1e-5)
    again, _ = fold_norm(weights, "x", replace(layer, epsilon=1e-5))
    np.testing.assert_allclose(again, weight, rtol=1e-6)


def unit(name: str = "", **changes: Any) -> Unit:
    fields = {"kind": "mbconv", "in_channels": 8, "out_channels": 8, "hidden_channels": 16}
    return lower_block(Block(**{**fields, "kernel": 3, **changes}), (8, 9, 9), name=name)


def test_one_unit_makes_a_graph() -> None:
    assert run(units_to_onnx([unit()]), (1, 8, 9, 9)).shape == (1, 8, 9, 9)
    model = units_to_onnx([unit("a"), unit("b", stride=2, skip="pool")], batch=1)
    assert run(model, (1, 8, 9, 9)).shape == (1, 8, 5, 5)


@pytest.mark.parametrize(
    ("units", "message"),
    [([], "no units"), ([unit(), unit()], "names of their own")],
)
def test_units_that_make_no_graph_are_refused(units: list[Unit], message: str) -> None:
    with pytest.raises(NasError, match=message):
        units_to_onnx(units)


def test_weights_must_fit() -> None:
    arch = load_architecture("mobilenet_v1@0.25")
    weights = random_weights(lower(arch))
    assert {name: value.shape for name, value in weights.items()} == weight_shapes(lower(arch))
    missing = {name: value for name, value in weights.items() if not name.startswith("head")}
    with pytest.raises(NasError, match=r"no weights for head\.1\.linear\.weight \(and 1 more\)"):
        to_onnx(arch, missing)
    with pytest.raises(NasError, match="weights for extra, which the network does not have"):
        to_onnx(arch, {**weights, "extra": np.zeros(1, np.float32)})
    wrong = {**weights, "head.1.linear.bias": np.zeros(7, np.float32)}
    with pytest.raises(NasError, match=r"head\.1\.linear\.bias have shape \(7,\), not \(1000,\)"):
        to_onnx(arch, wrong)


def test_without_onnx_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackage, match=r"pip install 'nas\[measure\]'"):
        to_onnx(load_architecture("mobilenet_v1@0.25"))


def test_writing_a_graph_needs_no_torch_and_importing_it_no_onnx() -> None:
    code = (
        "import sys, nas.exporting.onnx, nas.network.zoo\n"
        "assert 'onnx' not in sys.modules\n"
        "nas.exporting.onnx.to_onnx(nas.network.zoo.load_architecture('mobilenet_v1@0.25'))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
