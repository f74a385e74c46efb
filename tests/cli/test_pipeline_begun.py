"""`nas pipeline` with initial weights of another library, and for detectors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("safetensors")

from safetensors.numpy import save_file

from nas.network.checkpoint import load_checkpoint
from nas.network.lowering import lower
from nas.network.naming.tensors import renamed
from nas.network.naming.timm import timm_names
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture
from nas.searching.config import read_config

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

Nas = Callable[..., Any]
TINY = str(Path(__file__).parents[1] / "data" / "tiny.yaml")
DEEP = {
    "schema": 1,
    "name": "deep",
    "resolution": 64,
    "defaults": {"act": "relu", "layers": 1},
    "stem": [{"kind": "conv", "width": 8, "kernel": 3, "stride": 2, "act": "relu"}],
    "stages": [
        {"kind": "mbconv", "width": width, "stride": 2, "expansion": [2, 3], "kernel": 3}
        for width in (8, 12, 16, 24)
    ],
    "head": [
        {"kind": "conv", "width": 24, "act": "relu"},
        {"kind": "pool"},
        {"kind": "linear", "width": 10, "act": "none"},
    ],
}
"""A space whose networks end at a stride of 32, as detection heads require."""


def write(name: str = "run.yaml", **sections: Any) -> str:
    """Write the file of a pipeline, small except for `sections`; return its name."""
    asked = {
        "schema": 1,
        "data": "digits",
        "latency_table": "pixel1",
        "search": {"space": TINY, "evaluator": "proxy:epochs=1,rungs=1", "trials": 2,
                   "allow_extrapolation": True},
        "train": {"epochs": 1},
        "export": {"format": "yaml"},
        "measure_rounds": 0,
    }  # fmt: skip
    for section, changed in sections.items():
        asked[section] = {**asked[section], **changed} if isinstance(changed, dict) else changed
    Path(name).write_text(yaml.safe_dump(asked))
    return name


def timm_model(folder: str, seed: int = 2) -> str:
    """Write a folder as a model of timm on the hub, of random weights, and return its source."""
    Path(folder).mkdir(exist_ok=True)
    arch = load_architecture("mobilenet_v3_small")
    weights = renamed(random_weights(lower(arch), seed=seed), timm_names(arch))
    save_file(weights, Path(folder) / "model.safetensors")
    config = {
        "architecture": "tf_small_100",
        "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }
    (Path(folder) / "config.json").write_text(json.dumps(config))
    return f"timm:{folder}"


def test_its_trainings_begin_with_weights_of_timm(nas: Nas) -> None:
    source = timm_model("theirs")
    words = ("pipeline", write(search={"inherit": source}, train={"weights": source}))
    reply = nas(*words, "--out", "run")
    assert reply.code == 0, reply.err
    assert f": begins with weights of {source} for " in reply.err
    found = load_checkpoint("run/train")
    assert (found.arch.padding, found.data.mean) == ("same", (0.5, 0.5, 0.5))
    assert " inherit " in Path("run/search/trainings/log.jsonl").read_text().splitlines()[0]
    again = yaml.safe_load(Path("run/pipeline.yaml").read_text())
    assert again["train"]["weights"] == source
    assert again["search"]["evaluator"] == f"proxy:epochs=1,rungs=1,inherit={source}"

    assert "train: finished before" in nas("pipeline", "run/pipeline.yaml", "--out", "run").err
    timm_model("theirs", seed=3)
    other = nas(*words, "--out", "run")
    assert (other.code, len(other.err.splitlines())) == (2, 1)
    assert "stage train is finished, and its train.weights.fingerprint was" in other.err
    write(search={"inherit": source})
    gone = nas(*words, "--out", "run")
    assert (gone.code, len(gone.err.splitlines())) == (2, 1)
    assert "stage train is finished, and its train.weights" in gone.err


def test_weights_that_are_missing_are_one_line(nas: Nas) -> None:
    for sections in ({"train": {"weights": "runs/none"}}, {"search": {"inherit": "none"}}):
        reply = nas("pipeline", write(**sections), "--out", "run")
        assert (reply.code, len(reply.err.splitlines())) == (2, 1), reply.err
        assert not Path("run").exists()
    reply = nas("pipeline", write(search={"inherit": "a", "evaluator": "costs"}), "--out", "run")
    assert "evaluator costs does not take inherit" in reply.err
    evaluator = "proxy:inherit=b"
    reply = nas("pipeline", write(search={"inherit": "a", "evaluator": evaluator}), "--out", "run")
    assert "proxy:inherit=b contradicts inherit 'a'; give one of them" in reply.err


def test_a_search_inherits_by_a_flag(nas: Nas) -> None:
    source = timm_model("theirs")
    words = ("search", "--space", TINY, "--data", "digits", "--evaluator", "proxy:epochs=1,rungs=1",
             "--trials", "1", "--allow-extrapolation", "--no-plot", "--out", "run")  # fmt: skip
    assert nas(*words, "--inherit", source).code == 0
    evaluator = read_config(Path("run/run.yaml")).evaluator
    assert evaluator == f"proxy:epochs=1,rungs=1,inherit={source}"
    for more in (words, ("search", "--no-plot", "--out", "run")):
        assert nas(*more, "--inherit", source).code == 0
    reply = nas("search", "--out", "run", "--inherit", "another")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "contradicts inherit 'another'" in reply.err


def test_a_pipeline_makes_detectors(nas: Nas) -> None:
    pytest.importorskip("faster_coco_eval")
    Path("deep.yaml").write_text(yaml.safe_dump(DEEP))
    search = {"space": "deep.yaml", "task": "detection", "head": "ssdlite:resolution=64"}
    data = "digits_scenes:images=16,classes=2"
    reply = nas("pipeline", write(data=data, search=search), "--out", "run")
    assert reply.code == 0, reply.err
    assert "map %  test %  map_proxy %" in reply.out
    found, trained = json.loads(Path("run/report/result.json").read_text())["networks"]
    assert found["map"] is None
    assert 0 <= found["map_proxy"] <= 1
    assert 0 <= trained["map"] <= 1
    assert 0 <= trained["test"] <= 1
    exported = load_architecture(Path("run/export/trained.yaml"))
    assert exported.detector is not None
    assert exported.detector.classes == 2
    reply = nas("pipeline", write(data=data), "--out", "other")
    assert (reply.code, Path("other").exists()) == (2, False)
    assert "has boxes; a classifier needs a label for each image" in reply.err


def test_a_long_training_is_by_the_optimizer_that_nas_train_takes(nas: Nas) -> None:
    from nas.pipeline.config import read_pipeline
    from nas.pipeline.inputs import load_inputs

    long = {"epochs": 60}  # 960 steps
    asked = read_pipeline(Path(write(train=long)))
    assert load_inputs(asked).recipe.optimizer == "sgd"
    asked = read_pipeline(Path(write(train={**long, "weights": timm_model("small")})))
    assert load_inputs(asked).recipe.optimizer == "adamw"
