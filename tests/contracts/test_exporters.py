"""The contract of exporters; a new one is tested without being listed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core.plugins import Plugin, available, create
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture
from nas.testing.exporters import CHECKS

FORMATS = tuple(available("exporters"))
NEEDED = {"onnx": "onnx", "tflite": "ai_edge_litert.interpreter"}
SEED = ("onnx", "tflite")  # draw random weights where none are given


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each exporter in turn."""
    return str(request.param)


def exporter(name: str) -> Any:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    return create("exporters", Plugin.parse(name))


@pytest.fixture
def arch() -> Architecture:
    return load_architecture("mobilenet_v3_small@0.75-96")


def test_the_formats_are_there() -> None:
    assert {"yaml", "json", "onnx", "tflite", "ofa", "timm", "torchvision", "hub"} <= set(FORMATS)


def test_the_first_line_says_what_it_writes(name: str) -> None:
    assert len(available("exporters")[name]) > 20


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(name: str, check: Callable[[str], None]) -> None:
    exporter(name)
    check(name)


def test_the_file_is_the_architecture_again(name: str, arch: Architecture, tmp_path: Path) -> None:
    path = tmp_path / f"arch{exporter(name).suffix}"
    exporter(name)(arch, path)
    if path.is_dir():  # other libraries read it: tests/exporting
        return
    if path.suffix in (".yaml", ".json"):
        loaded = load_architecture(path)
        assert [u.key for u in lower(loaded)] == [u.key for u in lower(arch)]
        if name != "ofa":  # its stages are found again by channels and strides
            assert (loaded, loaded.name) == (arch, arch.name)
        return
    if path.suffix == ".tflite":  # its content is tested in tests/exporting/test_tflite.py
        graph = pytest.importorskip(NEEDED["tflite"]).Interpreter(str(path))
        graph.resize_tensor_input(0, (2, arch.resolution, arch.resolution, 3), strict=True)
        graph.allocate_tensors()
        assert [list(end["shape"]) for end in graph.get_output_details()] == [[2, 1000]]
        return
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    facts = {"fingerprint": arch.fingerprint, "name": arch.name, "resolution": str(arch.resolution)}
    assert metadata == {**facts, "layout": "NCHW"}
    images = np.zeros((2, 3, arch.resolution, arch.resolution), np.float32)
    assert session.run(["logits"], {"input": images})[0].shape == (2, 1000)


@pytest.mark.parametrize("form", SEED)
def test_graphs_hold_the_weights_they_are_given(
    form: str, arch: Architecture, tmp_path: Path
) -> None:
    given = exporter(form)
    seed, random = tmp_path / "seed", tmp_path / "given"
    create("exporters", Plugin.parse(f"{form}:seed=5"))(arch, seed)
    given(arch, random, random_weights(lower(arch), seed=5))
    assert seed.read_bytes() == random.read_bytes()
