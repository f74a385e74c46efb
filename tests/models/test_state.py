"""Checkpoints are read back complete, or with an error that says what is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402, TID253  # skipped above where there is no torch

from nas.core.errors import BadFile, NasError, RunError, UnknownName  # noqa: E402
from nas.models import state as checkpoint  # noqa: E402
from nas.models.build import build_model, weights_of  # noqa: E402
from nas.network.blocks import Architecture, to_mapping  # noqa: E402
from nas.network.checkpoint import AVERAGE, SETTINGS, find_checkpoint, load_checkpoint, read_header  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import weight_shapes  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.searching.runs.folder import find_architecture  # noqa: E402
from nas.training.optim import RMSpropTF, build_optimizer  # noqa: E402
from nas.training.recipes import quick  # noqa: E402
from nas.training.trained import network_of  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def arch() -> Architecture:
    return load_architecture("mobilenet_v3_small@0.75-96")


def facts(arch: Architecture) -> dict[str, Any]:
    data = {"name": "made up", "fingerprint": "0" * 16, "classes": ["a", "b"],
            "mean": [0.1, 0.2, 0.3], "deviation": [1, 1, 1]}  # fmt: skip
    return {"schema": 1, "arch": to_mapping(arch), "data": data, "progress": {"top1": 0.5}}


def write(path: Path, arch: Architecture, tensors: Mapping[str, Any] | None = None) -> Any:
    model = build_model(arch, seed=1)
    if tensors is None:
        tensors = checkpoint.model_tensors(model, AVERAGE)
    checkpoint.save(path, tensors, facts(arch))
    return model


def test_weights_come_back_without_torch_and_with_it(tmp_path: Path, arch: Architecture) -> None:
    path = tmp_path / "one.safetensors"
    model = write(path, arch)
    found = load_checkpoint(str(path))
    assert found.arch == arch
    assert found.weights.keys() == weight_shapes(lower(arch)).keys()
    for name, value in weights_of(model).items():
        np.testing.assert_array_equal(found.weights[name], value)
    assert weights_of(network_of(found)).keys() == weights_of(model).keys()
    assert found.metadata == {
        "data": "made up",
        "classes": '["a", "b"]',
        "mean": "[0.1, 0.2, 0.3]",
        "deviation": "[1.0, 1.0, 1.0]",
        "top1": "0.5",
        "crop": "the square in the centre, as large as the shorter side",
        "interpolation": "bilinear, antialiased where images shrink",
        "channel_order": "RGB",
        "range": "0 to 1 (bytes / 255), then (pixels - mean) / deviation",
    }


def test_averaged_weights_take_precedence(tmp_path: Path, arch: Architecture) -> None:
    model, other = build_model(arch, seed=1), build_model(arch, seed=2)
    both = checkpoint.model_tensors(model) | checkpoint.model_tensors(other, AVERAGE)
    write(tmp_path / "both.safetensors", arch, both)
    write(tmp_path / "one.safetensors", arch, checkpoint.model_tensors(model))
    name = "stem.0.conv.weight"
    for file, wanted in (("both", other), ("one", model)):
        found = load_checkpoint(str(tmp_path / f"{file}.safetensors"))
        np.testing.assert_array_equal(found.weights[name], weights_of(wanted)[name])


def test_a_folder_means_its_best(tmp_path: Path, arch: Architecture) -> None:
    (tmp_path / SETTINGS).touch()
    with pytest.raises(RunError, match="has no best checkpoint yet"):
        find_checkpoint(str(tmp_path))
    for name in ("best", "last"):
        write(tmp_path / f"{name}.safetensors", arch)
    assert find_checkpoint(str(tmp_path)) == tmp_path / "best.safetensors"
    assert find_checkpoint(f"{tmp_path}:last") == tmp_path / "last.safetensors"
    assert find_architecture(f"{tmp_path}:last") == arch
    with pytest.raises(UnknownName, match="checkpoints best and last, not '3'"):
        find_checkpoint(f"{tmp_path}:3")


def test_other_things_are_no_checkpoints(tmp_path: Path) -> None:
    assert find_checkpoint("mobilenet_v3_small") is None
    assert find_checkpoint(str(tmp_path)) is None
    with pytest.raises(UnknownName, match="mnasnet_a1 is not a trained network"):
        load_checkpoint("mnasnet_a1")


@pytest.mark.parametrize("content", [b"", b"\x10", b"\xff" * 40, b"\x02" + bytes(7) + b"{}"])
def test_what_is_no_checkpoint_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"x\.safetensors is not a checkpoint of a training"):
        load_checkpoint(str(path))


def test_a_truncated_checkpoint_is_damaged(tmp_path: Path, arch: Architecture) -> None:
    path = tmp_path / "x.safetensors"
    write(path, arch)
    path.write_bytes(path.read_bytes()[:-100])
    for read in (lambda: load_checkpoint(str(path)), lambda: checkpoint.load(path)):
        with pytest.raises(BadFile, match=r"x\.safetensors is damaged") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_unknown_keys_are_refused(tmp_path: Path, arch: Architecture) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"x": torch.zeros(1)}, {**facts(arch), "optimiser": 1})
    with pytest.raises(BadFile, match="unknown key 'optimiser'"):
        read_header(path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, arch: Architecture) -> None:
    other = build_model(load_architecture("mobilenet_v3_small"))
    path = tmp_path / "x.safetensors"
    write(path, arch, checkpoint.model_tensors(other, AVERAGE))
    with pytest.raises(NasError, match="weights for"):
        load_checkpoint(str(path))
    with pytest.raises(BadFile, match=r"of another architecture: average\.stages"):
        checkpoint.restore_model(build_model(arch), checkpoint.load(path), AVERAGE)


@pytest.mark.parametrize("kind", ["adamw", "rmsprop", "sgd"])
def test_an_optimizer_resumes_where_it_was(tmp_path: Path, kind: str) -> None:
    def begin() -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        model = model.to(memory_format=torch.channels_last)
        if kind == "adamw":
            return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
        if kind == "sgd":
            return model, build_optimizer(replace(quick(), optimizer="sgd"), model)
        return model, RMSpropTF(model.parameters(), lr=0.1)

    def steps(model: Any, optimizer: Any, first: int, count: int) -> None:
        for i in range(first, first + count):
            images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(i))
            model(images).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    whole = begin()
    steps(*whole, 0, 5)
    first = begin()
    steps(*first, 0, 2)
    path = tmp_path / "x.safetensors"
    model, optimizer = first
    tensors = checkpoint.model_tensors(model) | checkpoint.optimizer_tensors(optimizer, model)
    checkpoint.save(path, tensors, {})
    second = begin()
    checkpoint.restore_model(second[0], checkpoint.load(path))
    checkpoint.restore_optimizer(second[1], second[0], checkpoint.load(path))
    steps(*second, 2, 3)
    for ours, wanted in zip(second[0].parameters(), whole[0].parameters(), strict=True):
        assert torch.equal(ours, wanted)
