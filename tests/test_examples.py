"""The examples: images are prepared as in a training, and commands and options exist."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest

from nas import cli

Image = pytest.importorskip("PIL.Image")
EXAMPLES = Path(__file__).parents[1] / "examples"


def loaded(name: str) -> ModuleType:
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def classify() -> ModuleType:
    return loaded("classify")


@pytest.mark.parametrize("kind", ["plain.png", "turned.jpg", "transparent.png", "grey.png"])
def test_an_image_is_prepared_as_in_a_training(
    classify: ModuleType, kind: str, tmp_path: Path
) -> None:
    from nas.training.datasets._pictures import square

    rng, more = np.random.default_rng(0), {}
    pixels = rng.integers(0, 256, (40, 60, 4), dtype=np.uint8)
    image = Image.fromarray(pixels[..., :3])
    if kind == "turned.jpg":
        exif = Image.Exif()
        exif[274] = 6
        more = {"exif": exif}
    elif kind == "transparent.png":
        image = Image.fromarray(pixels)
    elif kind == "grey.png":
        image = Image.fromarray(pixels[..., 0])
    image.save(tmp_path / kind, **more)
    facts = {"resolution": "24", "mean": [0.5, 0.4, 0.3], "deviation": [0.2, 0.3, 0.4]}
    found = classify.prepared(tmp_path / kind, facts)
    trained_on = square(tmp_path / kind, 24).transpose(1, 2, 0) / 255
    wanted = (trained_on - np.array(facts["mean"])) / np.array(facts["deviation"])
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 0.03  # a step of one byte is 0.02


@pytest.mark.torch
@pytest.mark.parametrize("script", ["detect_onnx", "detect_litert"])
def test_the_scripts_of_a_detector_give_what_the_exported_graph_does(
    script: str, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    from detectors import tiny_detector

    from nas.exporting.export import export
    from nas.network.checkpoint import Checkpoint, DataMetadata
    from nas.network.lowering import lower
    from nas.network.weights import random_weights
    from nas.training.datasets._pictures import stretched

    arch = tiny_detector()
    facts = DataMetadata(
        name="x", fingerprint="", classes=("a", "b", "c"), mean=(0.5, 0.4, 0.3),
        deviation=(0.2, 0.3, 0.4),
    )  # fmt: skip
    weights = random_weights(lower(arch))
    trained = Checkpoint(path=tmp_path, arch=arch, weights=weights, data=facts, top1=None)
    suffix = "onnx" if script == "detect_onnx" else "tflite"
    model = export(arch, tmp_path / f"model.{suffix}", trained=trained)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    rows = loaded(script).detect(str(model), str(tmp_path / "image.png"))
    trained_on = stretched(tmp_path / "image.png", arch.resolution)[None] / 255
    mean, deviation = (np.reshape(v, (1, 3, 1, 1)) for v in (facts.mean, facts.deviation))
    corners, scores, labels = boxes_of(arch, weights, ((trained_on - mean) / deviation))
    assert len(rows) == len(scores) > 10
    np.testing.assert_allclose([row[1] for row in rows], scores, atol=0.02)
    assert sum(row[0] == "abc"[label] for row, label in zip(rows, labels, strict=True)) > 0.9 * len(
        rows
    )
    near = np.abs(np.array([row[2] for row in rows]) / [120, 80, 120, 80] * 64 - corners) < 1
    assert near.all(axis=1).mean() > 0.8  # a byte's step of the resized pixels may swap two boxes


def boxes_of(arch: Any, weights: Any, images: Any) -> tuple[Any, Any, Any]:
    """Return the detections of evaluation in one image."""
    import torch

    from nas.network.detector import default_nms
    from nas.network.lowering import priors_of
    from nas.training.boxes import Outputs
    from nas.training.detection.coding import PriorTensors
    from nas.training.detection.nms import postprocess
    from nas.training.trained import with_weights

    model = with_weights(arch, {k: torch.from_numpy(v) for k, v in weights.items()})
    with torch.inference_mode():
        outputs = Outputs(*model(torch.from_numpy(images.astype(np.float32))))
    (one,) = postprocess(
        arch.detector, outputs, PriorTensors.of(priors_of(arch)), default_nms(arch.detector)
    )
    return one.corners.numpy(), one.scores.numpy(), one.labels.numpy()


def test_a_folder_without_images_is_reported(classify: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no images; expected a folder"):
        classify.main(tmp_path / "model.onnx", tmp_path)


def test_the_whole_job_names_commands_and_options_that_exist() -> None:
    script = EXAMPLES / "edge_job.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"(?:^|\|\| )nas ((?:[a-z]+ )+)(.*)", text, re.MULTILINE)
    assert len(commands) >= 7
    for words, rest in commands:
        command: click.Command | None = cli.nas
        for word in words.split():
            context = click.Context(command or cli.nas)
            inner = command.get_command(context, word) if isinstance(command, click.Group) else None
            command = inner or command
        assert command is not None
        flags = {
            flag for option in command.params for flag in (*option.opts, *option.secondary_opts)
        }
        assert set(re.findall(r" (--[a-z-]+)", f" {rest}")) <= flags
