"""Detectors train as classifiers do: they learn, resume exactly, and report errors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("PIL")
pytest.importorskip("faster_coco_eval")

from detectors import tiny_detector  # noqa: E402

from nas.core.errors import BadValue, NasError, RunError  # noqa: E402
from nas.models import state as checkpoint  # noqa: E402
from nas.network.checkpoint import load_checkpoint, read_header  # noqa: E402
from nas.network.lowering import priors_of  # noqa: E402
from nas.training.box_augment import BoxAugment  # noqa: E402
from nas.training.data import Data, Images, load_data  # noqa: E402
from nas.training.detection.by_class import evaluate_detector, examples_of  # noqa: E402
from nas.training.detection.coding import probabilities  # noqa: E402
from nas.training.detection.initialisation import initial_scores  # noqa: E402
from nas.training.evaluate import in_order  # noqa: E402
from nas.training.fine_tune import FineTuningSetup, FineTuningTask, fine_tune  # noqa: E402
from nas.training.job import Options  # noqa: E402
from nas.training.recipes import adapt, auto, ssdlite  # noqa: E402
from nas.training.run import fit_to_data, train  # noqa: E402
from nas.training.tasks.find import task_of  # noqa: E402
from nas.training.trained import random_model, starting_weights  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

CODERS = ("ssd", "yolo", "yolov5")
VARIED = replace(
    adapt(ssdlite(), epochs=3, batch=8),
    boxes=BoxAugment(flip=True, zoom=(0.5, 1.5), mosaic=0.3, iou_crop=0.3, colour=0.3),
)


@pytest.fixture(scope="module")
def scenes() -> Data:
    return load_data("digits_scenes:images=48,classes=3")


def score_of(arch: Any, data: Data, model: Any = None) -> Any:
    model = model or random_model(fit_to_data(arch, data), seed=0)
    on = torch.device("cpu")
    batches = in_order(data.val, data, side=arch.resolution, batch=16, device=on)
    return task_of(fit_to_data(arch, data)).score(model, batches)


@pytest.mark.parametrize("coder", CODERS)
def test_the_loss_of_a_split_does_not_depend_on_its_batches(coder: str, scenes: Data) -> None:
    arch = fit_to_data(tiny_detector(coder), scenes)
    model, on = random_model(arch, seed=0), torch.device("cpu")
    losses = [
        task_of(arch)
        .score(model, in_order(scenes.val, scenes, side=64, batch=batch, device=on))
        .loss
        for batch in (1, 3, 12)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("coder", CODERS)
def test_a_fresh_detector_finds_next_to_nothing(coder: str) -> None:
    arch = tiny_detector(coder)
    model = random_model(arch, seed=0).eval()
    with torch.no_grad():
        numbers, scores = model(torch.randn(1, 3, 64, 64))
    assert scores.shape == (1, len(priors_of(arch)), arch.detector.scores)
    assert probabilities(coder, scores).max() < 0.03
    assert numbers.abs().max() < 1, "boxes are near their priors"
    if coder == "yolo":
        wanted = torch.cat([initial_scores(arch.detector, 8.0).expand(64, 3),
                            initial_scores(arch.detector, 16.0).expand(16, 3)])  # fmt: skip
        assert (scores[0] - wanted).abs().max() < 1


def test_the_prior_of_an_ssd_is_a_hundredth() -> None:
    detector = tiny_detector("ssd", classes=9).detector
    assert detector is not None
    shares = initial_scores(detector, 8.0).softmax(0)
    torch.testing.assert_close(shares, torch.tensor([0.91] + [0.01] * 9))


@pytest.mark.parametrize("coder", ["ssd", "yolo"])
def test_it_learns_scenes(coder: str, tmp_path: Path) -> None:
    data = load_data("digits_scenes:images=160,classes=1")
    arch = tiny_detector(coder)
    before = score_of(arch, data)
    out = tmp_path / "run"
    trained = train(arch, data, adapt(auto(), epochs=4, batch=8, lr=4e-3), out=out)
    assert (trained.metric, trained.top1) == ("map", None)
    assert trained.value is not None
    assert trained.value > 0.05 > 10 * before.value
    best = trained.history[trained.best_epoch - 1]
    assert dict(trained.metrics) == {"map": best["map"], "map50": best["map50"]}
    assert trained.value == max(line["map"] for line in trained.history)
    assert score_of(arch, data, trained.model).value == trained.value
    progress = read_header(out / "best.safetensors").progress
    assert progress["map"] == trained.value
    assert "top1" not in progress
    found = load_checkpoint(str(out))
    assert (found.map, found.top1) == (trained.value, None)
    assert found.metadata["map"] == repr(trained.value)
    evaluated = evaluate_detector(found, data)
    assert evaluated.score.value == trained.value
    own = data.val.labels
    assert list(evaluated.objects) == np.bincount(own.labels, minlength=1).tolist()  # type: ignore[union-attr]  # boxes


@pytest.mark.parametrize("coder", CODERS)
def test_an_interrupted_training_ends_with_the_same_weights(
    coder: str, scenes: Data, tmp_path: Path
) -> None:
    arch = tiny_detector(coder, side=32)
    train(arch, scenes, VARIED, out=tmp_path / "whole")
    for seconds in (1e-9, 0.0):
        options = Options(seconds=seconds, save_seconds=0)
        train(arch, scenes, VARIED, out=tmp_path / "parts", options=options)
    whole, parts = (
        checkpoint.load(tmp_path / name / "last.safetensors") for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    logs = [
        [{**json.loads(line), "seconds": 0} for line in lines]
        for name in ("whole", "parts")
        for lines in [(tmp_path / name / "metrics.jsonl").read_text().splitlines()]
    ]
    assert logs[0] == logs[1]


def test_outputs_follow_the_classes_of_the_data(scenes: Data) -> None:
    arch = tiny_detector("ssd", classes=20)
    made = fit_to_data(arch, scenes, batch=8)
    assert made.detector is not None
    assert made.detector.classes == 3
    assert [b.out_channels for b in made.head] == [12, 12, 12, 12]
    assert fit_to_data(made, scenes) == made


def test_new_classes_keep_all_other_weights(scenes: Data, tmp_path: Path) -> None:
    arch = tiny_detector("ssd", side=32)
    train(arch, scenes, adapt(auto(), epochs=1), out=tmp_path / "run")
    found = load_checkpoint(str(tmp_path / "run"))
    other = load_data("digits_scenes:images=10,classes=2")
    weights = starting_weights(found, other, seed=1)
    changed = {name for name in weights if weights[name] is not found.weights[name]}
    assert {name.rpartition(".")[0].rpartition(".")[0] for name in changed} <= {"head.1", "head.3"}
    shapes = {name: value.shape[0] for name, value in weights.items() if name in changed}
    assert set(shapes.values()) == {9}


def test_data_of_another_task_are_refused(scenes: Data) -> None:
    digits = load_data("digits")
    with pytest.raises(NasError, match="digits has labels of whole images; a detector needs boxes"):
        fit_to_data(tiny_detector(), digits)


def test_a_detector_learns_from_a_teacher_alone(scenes: Data, tmp_path: Path) -> None:
    """If the teacher is the whole loss, the boxes of the data are not used."""
    arch = tiny_detector(side=32)
    train(arch, scenes, adapt(auto(), epochs=2), out=tmp_path / "teacher")
    recipe = replace(adapt(auto(), epochs=2, batch=8), distillation=1.0)
    empty = np.zeros_like(scenes.train.labels.crowd)  # type: ignore[union-attr]  # boxes
    crowds = replace(scenes.train.labels, crowd=~empty)  # type: ignore[type-var]  # boxes
    blind = replace(scenes, train=replace(scenes.train, labels=crowds))
    options = Options(teacher=str(tmp_path / "teacher"), device="cpu")
    seen, unseen = (train(arch, data, recipe, options=options) for data in (scenes, blind))
    assert [line["loss"] for line in seen.history] == [line["loss"] for line in unseen.history]
    assert seen.history[1]["loss"] < seen.history[0]["loss"]


def test_a_teacher_of_another_head_is_refused(scenes: Data, tmp_path: Path) -> None:
    once = adapt(auto(), epochs=1)
    train(tiny_detector("yolo", side=32), scenes, once, out=tmp_path / "teacher")
    options = Options(teacher=str(tmp_path / "teacher"))
    with pytest.raises(NasError, match="the teacher's coder is yolo, the detector's ssd"):
        train(tiny_detector(side=32), scenes, once, out=tmp_path / "run", options=options)
    assert not (tmp_path / "run").exists()


def test_one_pixel_maps_need_batches_of_two(scenes: Data) -> None:
    with pytest.raises(BadValue, match="cannot train on one image at a time"):
        fit_to_data(tiny_detector(side=16), scenes, batch=1)


def test_a_folder_of_another_detector_is_refused(scenes: Data, tmp_path: Path) -> None:
    once = adapt(auto(), epochs=1)
    train(tiny_detector("ssd", side=32), scenes, once, out=tmp_path / "run")
    with pytest.raises(RunError, match="another arch"):
        train(tiny_detector("yolo", side=32), scenes, once, out=tmp_path / "run")


def test_fine_tuning_reaches_a_map(scenes: Data, tmp_path: Path) -> None:
    arch = fit_to_data(tiny_detector(side=32), scenes)
    weights = {
        name: value.numpy()
        for name, value in checkpoint.model_tensors(random_model(arch, seed=0), "").items()
    }
    setup = FineTuningSetup(data=scenes, recipe=adapt(auto(), epochs=1), epochs=1)
    task = FineTuningTask(arch=arch, weights=weights, round=0, path=tmp_path / "tuned.safetensors")
    reached = fine_tune(setup, task)
    assert load_checkpoint(str(task.path)).map == reached.value


def test_examples_are_spread_over_the_images(scenes: Data, tmp_path: Path) -> None:
    arch = tiny_detector(side=32)
    train(arch, scenes, adapt(auto(), epochs=1), out=tmp_path / "run")
    shown = examples_of(load_checkpoint(str(tmp_path / "run")), scenes)
    assert len(shown) == 8
    first: Images = scenes.val
    np.testing.assert_array_equal(shown[0].pixels, first.read(np.array([0]), 320)[0])
    np.testing.assert_array_equal(shown[0].objects.corners, first.labels[0:1].corners)  # type: ignore[union-attr]  # boxes
    assert all(len(one.found.scores) == len(one.found.corners) for one in shown)
    assert shown[0].size == (128, 128)
