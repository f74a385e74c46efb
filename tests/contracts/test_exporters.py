"""What every exporter keeps to; a new file in nas/exporting/formats is tested without a list."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.core.plugins import Plugin, available, create
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

FORMATS = tuple(available("exporters"))
NEEDED = {"onnx": "onnx", "tflite": "ai_edge_litert.interpreter"}
SEED = ("onnx", "tflite")  # draw random weights where none are given


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of one exporter after the other."""
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


def test_the_suffix_starts_with_a_dot(name: str) -> None:
    assert exporter(name).suffix.startswith(".")


def test_whole_files_of_one_name_are_written(name: str, arch: Architecture, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"arch{exporter(name).suffix}"
    exporter(name)(arch, path)
    first = contents(path.parent)
    assert path.name in first
    assert all(written.startswith(f"{path.stem}.") for written in first)
    exporter(name)(arch, path)
    assert contents(path.parent) == first


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder; a folder in it counts as one of its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [(path.relative_to(folder).parts[0], path.read_bytes()) for path in files]
    return {name: b"".join(c for n, c in parts if n == name) for name, _ in parts}


def test_an_unwritable_path_is_one_line(name: str, arch: Architecture, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()  # a folder that is no earlier export
    with pytest.raises(NasError, match="cannot be written") as caught:
        exporter(name)(arch, tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_holds_no_weights_refuses_them(name: str, arch: Architecture, tmp_path: Path) -> None:
    if not exporter(name).holds_weights:
        with pytest.raises(NasError, match="holds no weights"):
            exporter(name)(arch, tmp_path / "x", random_weights(lower(arch)))


def test_weights_are_kept_or_refused(name: str, arch: Architecture, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="weights"):
        exporter(name)(arch, tmp_path / "x", {})
    assert list(tmp_path.iterdir()) == []


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
