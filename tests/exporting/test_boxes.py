"""Exported detectors give the boxes that evaluation finds, in onnxruntime and LiteRT."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core.errors import BadValue
from nas.exporting.export import export
from nas.exporting.nms import nms_settings
from nas.exporting.onnx import detector_to_onnx
from nas.exporting.tflite import detector_to_tflite
from nas.network.blocks import Architecture
from nas.network.detector import Detector, NmsSettings
from nas.network.lowering import lower, priors_of
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SMALL = {
    "ssdlite:mobilenet_v3_small@160,classes=3": 160,
    "yolo:mobilenet_v3_small@96,classes=3": 96,
    "yolov5n": 64,
}
"""A detector of each coder, with the side of its input."""
LIMITS = NmsSettings(candidates=10**6, most=50, overlap=0.5)


@pytest.fixture(params=SMALL)
def arch(request: pytest.FixtureRequest) -> Architecture:
    """Return each detector in turn, at a small resolution."""
    return replace(load_architecture(request.param), resolution=SMALL[request.param])


def image(arch: Architecture) -> Any:
    shape = (1, 3, arch.resolution, arch.resolution)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def found(arch: Architecture) -> tuple[Any, Any, Any]:
    from nas.training.boxes import Outputs
    from nas.training.detection.coding import PriorTensors
    from nas.training.detection.nms import postprocess
    from nas.training.trained import with_weights

    assert arch.detector
    weights = {k: torch.from_numpy(v) for k, v in random_weights(lower(arch)).items()}
    with torch.inference_mode():
        outputs = Outputs(*with_weights(arch, weights)(torch.from_numpy(image(arch))))
    (one,) = postprocess(arch.detector, outputs, PriorTensors.of(priors_of(arch)), LIMITS)
    return one.corners.numpy(), one.scores.numpy(), one.labels.numpy()


def run_onnx(model: bytes, arch: Architecture) -> tuple[Any, Any, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return tuple(session.run(["boxes", "scores", "labels"], {"input": image(arch)}))


def check(ours: tuple[Any, Any, Any], theirs: tuple[Any, Any, Any]) -> None:
    corners, scores, labels = ours
    assert 10 < len(scores) <= 50
    np.testing.assert_allclose(theirs[0], corners, atol=1e-3)
    np.testing.assert_allclose(theirs[1], scores, atol=1e-5)
    np.testing.assert_array_equal(theirs[2], labels)


def test_onnx_gives_the_boxes_that_evaluation_finds(arch: Architecture) -> None:
    model = detector_to_onnx(arch, random_weights(lower(arch)), nms=LIMITS)
    check(found(arch), run_onnx(model.SerializeToString(), arch))


def test_tflite_gives_the_boxes_that_evaluation_finds(arch: Architecture) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    content = detector_to_tflite(arch, random_weights(lower(arch)), nms=LIMITS)
    opened = interpreter.Interpreter(model_content=content, num_threads=1)
    opened.allocate_tensors()
    out = opened.get_signature_runner()(input=image(arch).transpose(0, 2, 3, 1))
    count = int(out["count"][0])
    check(
        found(arch), (out["boxes"][0, :count], out["scores"][0, :count], out["labels"][0, :count])
    )


def test_the_file_says_what_its_boxes_are(tmp_path: Path) -> None:
    arch = replace(load_architecture("ssdlite:mobilenet_v3_small,classes=3"), resolution=96)
    onnx = pytest.importorskip("onnx")
    model = onnx.load(export(arch, tmp_path / "d.onnx", form="onnx:score=0.3,most=20"))
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["boxes"] == "left, top, right, bottom in pixels of the input"
    assert (facts["score_threshold"], facts["most_boxes"]) == ("0.3", "20")
    assert [output.name for output in model.graph.output] == ["boxes", "scores", "labels"]
    raw = onnx.load(export(arch, tmp_path / "raw.onnx", form="onnx:raw=true"))
    assert [output.name for output in raw.graph.output] == ["box_numbers", "class_scores"]
    detector = json.loads({p.key: p.value for p in raw.metadata_props}["detector"])
    assert (detector["coder"], detector["classes"]) == ("ssd", 3)
    assert len(detector["levels"][0]["anchors"]) == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [({"score": 1.5}, "score must be a fraction from 0 to 1, not 1.5"),
     ({"most": -1}, "most must be 0 to 10,000 boxes, not -1")],
)  # fmt: skip
def test_limits_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    detector = load_architecture("yolov8n").detector
    assert isinstance(detector, Detector)
    with pytest.raises(BadValue) as error:
        nms_settings(detector, **{"score": 0.5, "overlap": 0.5, "most": 9, **given})
    assert str(error.value) == message


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_the_seed_decides_the_weights_of_graphs_with_boxes(form: str, tmp_path: Path) -> None:
    detector = load_architecture("ssdlite:mobilenet_v3_small@96,classes=3")
    zero, first, again, other = (
        export(detector, tmp_path / "graph", form=f"{form}:seed={seed}").read_bytes()
        for seed in (0, 7, 7, 8)
    )
    assert first == again
    assert len({zero, first, other}) == 3
