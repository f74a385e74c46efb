"""The footprint of networks on a device: by hand, and compared with exported files."""

from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import UnknownName
from nas.exporting.export import export
from nas.network.blocks import Architecture, Block
from nas.network.footprint import peak_mb, size_mb
from nas.network.zoo import load_architecture
from nas.searching.evaluators.footprint import create
from nas.searching.problem import Candidates
from nas.space.file import load_space
from nas.space.space import Space

ARCH = Architecture(
    resolution=8,
    stem=(Block(kind="conv", in_channels=3, out_channels=4, kernel=3, stride=2),),
    stages=((Block(kind="mbconv", in_channels=4, out_channels=4, hidden_channels=8, kernel=3),),),
    head=(Block(kind="pool", in_channels=4, out_channels=4),
          Block(kind="linear", in_channels=4, out_channels=10, act="none")),
)  # fmt: skip


def test_weights_and_biases_are_counted_after_folding() -> None:
    convs = (27 * 4, 4), (4 * 8, 8), (9 * 8, 8), (8 * 4, 4), (4 * 10, 10)
    weights, biases = (sum(column) for column in zip(*convs, strict=True))
    assert size_mb(ARCH) == pytest.approx((weights + biases) * 4e-6)
    assert size_mb(ARCH, "int8") == pytest.approx((weights + 4 * biases) * 1e-6)
    with pytest.raises(UnknownName, match="unknown dtype 'fp16'"):
        size_mb(ARCH, "fp16")


def test_the_peak_is_an_operation_with_what_waits_for_the_shortcut() -> None:
    pixels = 4 * 4
    depthwise = (8 + 8 + 4) * pixels  # maps in and out, and the input of the unit
    assert peak_mb(ARCH) == pytest.approx(4e-6 * depthwise)
    assert peak_mb(ARCH, "int8") == pytest.approx(1e-6 * depthwise)


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_the_size_is_that_of_an_exported_file(form: str, tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnx", "tflite": "ai_edge_litert"}[form])
    arch = load_architecture("mobilenet_v3_small")
    path = export(arch, tmp_path / f"x.{form}")
    assert size_mb(arch) == pytest.approx(path.stat().st_size / 1e6, rel=0.02)


@pytest.mark.parametrize("name", ["mobilenetv3", "mnasnet", "mbconv"])
def test_look_ups_equal_what_decoded_architectures_take(name: str) -> None:
    space = load_space(name)
    _check(space, space.sample_matrix(np.random.default_rng(5), 30))


def test_look_ups_are_right_for_every_architecture(tiny: Space, all_rows: np.ndarray) -> None:
    _check(tiny, all_rows)


def _check(space: Space, rows: np.ndarray) -> None:
    for dtype in ("fp32", "int8"):
        found = create(space, dtype=dtype)(Candidates(space=space, picks=rows))
        archs = [space.decode_row(row) for row in rows]
        assert found["size_mb"] == pytest.approx([size_mb(arch, dtype) for arch in archs])
        assert found["peak_mb"] == pytest.approx([peak_mb(arch, dtype) for arch in archs])
