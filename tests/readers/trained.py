"""Readers that need torch or pictures: checkpoints, folders of trainings, images."""

import csv
import io
import json
import pickle
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch  # noqa: TID253  # these rows are about it
from PIL import Image  # noqa: TID253
from readers.rows import JSON, LINES, YAML, Row, arch, to_json, to_lines, to_yaml
from safetensors.numpy import save

from nas.core.jsonl import resumed
from nas.network.blocks import to_mapping
from nas.network.checkpoint import AVERAGE, HEADER, load_checkpoint
from nas.network.lowering import lower
from nas.network.naming.tensors import renamed
from nas.network.naming.timm import timm_names
from nas.network.weights import random_weights
from nas.searching.evaluators import proxy
from nas.training import folder as training_folder
from nas.training.datasets import cifar10, imagefolder
from nas.training.datasets import csv as labels
from nas.training.folder import TrainingFolder
from nas.training.pretrained import load_weights


def _facts() -> Any:
    data = {"name": "d", "fingerprint": "0", "classes": ["a", "b"], "mean": [0.5, 0.4, 0.3],
            "deviation": [0.2, 0.2, 0.2]}  # fmt: skip
    return {"schema": 1, "arch": to_mapping(arch()), "data": data, "progress": {"top1": 0.5}}


def _checkpoint(facts: Any) -> bytes:
    tensors = {f"{AVERAGE}{n}": v for n, v in random_weights(lower(arch())).items()}
    return save(tensors, metadata={HEADER: json.dumps(facts)})


def _facts_of(content: bytes) -> Any:
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"][HEADER])


_SETTINGS = {"arch": {"name": "a", "fingerprint": "0"}, "data": {"name": "d"},
             "recipe": {"lr": 0.1}, "seed": 0, "teacher": None}  # fmt: skip


@cache
def _training() -> Mapping[str, bytes]:
    epochs = [{"epoch": i, "step": 5 * i, "lr": 0.1, "loss": 1.0, "val_loss": 1.0, "top1": 0.5,
               "seconds": 1.5} for i in (1, 2, 3)]  # fmt: skip
    return {
        "train.yaml": to_yaml(
            {"schema": 1, **_SETTINGS, "lineage": {"sentences": ["Found."], "table": "pixel1"}}
        ),
        "metrics.jsonl": to_lines([{"schema": 1}, *epochs]),
    }


def _rewound(path: Path) -> object:
    with (
        patch.object(training_folder, "_event_writer", lambda path, step: None),
        closing(TrainingFolder(path.parent, arch(), _SETTINGS)) as folder,
    ):
        return folder.rewind(2)


_RUNGS = [
    {"schema": 1, "evaluator": "t"},
    {"rung": 0, "fingerprint": "a", "epochs": 1, "top1": 0.5, "scores": [-0.5], "seconds": 1.0},
    {"rung": 1, "fingerprint": "a", "epochs": 3, "top1": 0.6, "scores": [-0.6], "seconds": 1.0},
    {"rung": 0, "fingerprint": "b", "error": "diverged"},
]


def _climbed(path: Path) -> object:
    with resumed(path, _RUNGS[0], writer="another") as lines, closing(lines):
        log = proxy._Log(lines, "t", (1, 3), proxy.ACCURACY)
        return log.population(0), log.population(1), log.gains(0), log.find(0, "b")


@cache
def _pictures() -> Mapping[str, bytes]:
    pictures = {}
    for i, name in enumerate(("a/0", "a/1", "b/0", "b/1")):
        file = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(file, "png")
        pictures[f"{name}.png"] = file.getvalue()
    return pictures


@cache
def _labelled() -> Mapping[str, bytes]:
    file = io.StringIO()
    csv.writer(file).writerows([("image", "label"), *((n, n[0]) for n in _pictures())])
    return {"labels.csv": file.getvalue().encode(), **_pictures()}


def _image_folder(path: Path) -> object:
    source = imagefolder.create(path=str(path.parents[1]), val=0.5, seed=0)
    return source.train.read(np.arange(len(source.train)), 8)


def _csv(path: Path) -> object:
    source = labels.create(path=str(path), val=0.5, seed=0)
    return source.train.read(np.arange(len(source.train)), 8)


@cache
def _cifar() -> Mapping[str, bytes]:
    """Return the files of a CIFAR-10 with four images each."""
    batch = {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 0, 1]}
    files = {f"data_batch_{number}": batch for number in range(1, 6)}
    whole = {**files, "test_batch": batch, "batches.meta": {"label_names": ["a", "b"]}}
    return {name: pickle.dumps(content, protocol=2) for name, content in whole.items()}


def _cifar_read(path: Path) -> object:
    return cifar10.create(path=str(path.parent), val=0.5, seed=0).fingerprint


_LIKE_TIMM = {
    "architecture": "tf_a", "num_classes": 10, "model_args": {"bn_eps": 0.001, "pad_type": ""},
    "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}, "label_names": ["a"],
}  # fmt: skip
"""The configuration of a timm model."""


@cache
def _like_timm() -> Mapping[str, bytes]:
    """Return the files of a timm model, and the same by torch.save."""
    tensors = renamed(random_weights(lower(arch())), timm_names(arch()))
    file = io.BytesIO()
    torch.save({name: torch.tensor(value) for name, value in tensors.items()}, file)
    return {
        "config.json": to_json(_LIKE_TIMM),
        "model.safetensors": save(tensors),
        "model.pth": file.getvalue(),
    }


def _begun(path: Path) -> object:
    weights = "model.pth" if path.suffix == ".pth" else "model.safetensors"
    return load_weights(arch(), f"timm:{path.with_name(weights)}")


ROWS: dict[str, Row] = {
    "weights of timm": Row(files=_like_timm, spoilt="model.safetensors", read=_begun),
    "weights of torch.save": Row(files=_like_timm, spoilt="model.pth", read=_begun),
    "configuration of timm": Row(files=_like_timm, spoilt="config.json", read=_begun, **JSON),
    "checkpoint": Row(
        files=cache(lambda: {"x.safetensors": _checkpoint(_facts())}),
        spoilt="x.safetensors",
        read=lambda path: load_checkpoint(str(path)),
        hear=_facts_of,
        say=_checkpoint,
    ),
    "log of a training": Row(
        files=_training, spoilt="metrics.jsonl", read=_rewound, **LINES
    ),
    "settings of a training": Row(files=_training, spoilt="train.yaml", read=_rewound, **YAML),
    "log of short trainings": Row(
        files=cache(lambda: {"log.jsonl": to_lines(_RUNGS)}),
        spoilt="log.jsonl",
        read=_climbed,
        **LINES,
    ),
    "picture": Row(files=_pictures, spoilt="a/0.png", read=_image_folder),
    "batch of CIFAR": Row(files=_cifar, spoilt="data_batch_2", read=_cifar_read),
    "classes of CIFAR": Row(files=_cifar, spoilt="batches.meta", read=_cifar_read),
    "labels": Row(files=_labelled, spoilt="labels.csv", read=_csv),
}  # fmt: skip
