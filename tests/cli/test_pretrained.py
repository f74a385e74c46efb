"""`--weights timm:...` of the commands that train, score, prune and export."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import cards  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from nas.core.data import read_mapping, to_yaml  # noqa: E402
from nas.network.blocks import from_mapping, to_mapping  # noqa: E402
from nas.network.checkpoint import load_checkpoint  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.naming.tensors import renamed  # noqa: E402
from nas.network.naming.timm import timm_names  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.training.task import for_classes  # noqa: E402

pytestmark = pytest.mark.torch

Nas = Callable[..., Any]
SMALL = {
    "schema": 1,
    "name": "small",
    "resolution": 16,
    "stem": [{"kind": "conv", "in_channels": 3, "out_channels": 16, "kernel": 3, "stride": 2}],
    "stages": [
        [
            {"kind": "mbconv", "in_channels": 16, "out_channels": 24, "hidden_channels": 48,
             "kernel": 3, "stride": 2, "se_channels": 8},
        ]
    ],
    "head": [
        {"kind": "pool", "in_channels": 24, "out_channels": 24},
        {"kind": "linear", "in_channels": 24, "out_channels": 1000, "act": "none"},
    ],
}  # fmt: skip
WORDS = ("train", "small.yaml", "--data", "digits", "--recipe", "quick", "--device", "cpu",
         "--epochs", "1", "--out", "run")  # fmt: skip
CONFIG = {
    "architecture": "tf_small_100",
    "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}


def model(folder: Path, classes: int = 1000) -> Path:
    """Write a folder as a model of timm on the hub, of random weights."""
    folder.mkdir(parents=True)
    arch = for_classes(from_mapping(SMALL), classes)
    save_file(renamed(random_weights(lower(arch), seed=2), timm_names(arch)),
              folder / "model.safetensors")  # fmt: skip
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(autouse=True)
def _files(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(to_yaml(SMALL))
    model(tmp_path / "thousand")
    model(tmp_path / "ten", 10)


def test_a_training_takes_conventions_along_and_is_resumed_with_them(nas: Nas) -> None:
    reply = nas(*WORDS, "--weights", "timm:thousand")
    assert reply.code == 0, reply.err
    assert reply.err.startswith("fine-tuning timm:thousand, with a new classifier\n")
    found = load_checkpoint("run")
    assert (found.arch.padding, found.arch.norm_epsilon) == ("same", 1e-3)
    assert found.data.mean == (0.5, 0.5, 0.5)
    assert read_mapping(Path("run/arch.yaml"))["padding"] == "same"
    for words in (("train", "--out", "run"), WORDS):
        more = nas(*words, "--epochs", "3" if words is WORDS else "2", "--device", "cpu")
        assert more.code == 0, more.err
        again = load_checkpoint("run:last")
        assert again.data.mean == (0.5, 0.5, 0.5)
        assert again.arch == found.arch
    assert json.loads(nas("eval", "run", "--data", "digits", "--json").out)["images"] == 359


def test_a_fine_tuned_network_takes_conventions_along_too(nas: Nas) -> None:
    assert nas(*WORDS, "--weights", "timm:thousand").code == 0
    words = ("--data", "digits", "--device", "cpu", "--epochs", "1")
    for number, begin in enumerate((("small.yaml", "--weights", "run"), ("run",),
                                    ("small.yaml", "--inherit", "run"))):  # fmt: skip
        reply = nas("train", *begin, *words, "--out", f"again{number}")
        assert reply.code == 0, reply.err
        found = load_checkpoint(f"again{number}")
        assert (found.arch.padding, found.data.mean) == ("same", (0.5, 0.5, 0.5))


def test_weights_of_no_bundled_network_are_not_inherited(nas: Nas) -> None:
    reply = nas(*WORDS, "--inherit", "timm:ten")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "timm:ten fits no bundled architecture" in reply.err


def test_the_classifier_stays_where_the_number_of_classes_is_equal(nas: Nas) -> None:
    reply = nas(*WORDS, "--weights", "timm:ten", "--lr", "1e-9")
    assert reply.err.startswith("fine-tuning timm:ten\n")
    units = lower(for_classes(from_mapping(SMALL), 10))
    kept = load_checkpoint("run").weights["head.1.linear.weight"]
    expected = random_weights(units, seed=2)["head.1.linear.weight"]
    assert np.allclose(kept, expected, atol=1e-6)


def test_scores_and_exports_need_no_training(nas: Nas) -> None:
    reply = nas("eval", "small.yaml", "--weights", "timm:ten", "--data", "digits", "--json")
    assert json.loads(reply.out)["images"] == 359, reply.err
    reply = nas("export", "small.yaml", "--weights", "timm:thousand", "--out", "x.onnx")
    assert (reply.code, reply.err) == (0, "wrote x.onnx with the weights of timm:thousand\n")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession("x.onnx", providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["mean"]) == [0.5, 0.5, 0.5]
    assert len(json.loads(said["classes"])) == 1000


def test_the_card_of_a_pruned_network_names_the_weights_it_began_with(nas: Nas) -> None:
    reply = nas("netadapt", "small.yaml", "--weights", "timm:ten", "--data", "digits",
                "--latency-table", "pixel1", "--target-ms", "0.035", "--steps", "1",
                "--final-epochs", "0", "--measure-rounds", "0", "--device", "cpu",
                "--out", "pruned")  # fmt: skip
    assert reply.code == 0, reply.err
    assert nas("export", "pruned", "--format", "hub", "--out", "card").code == 0
    *_, pruned, begun = cards.how_found(Path("card/README.md"))
    assert pruned.startswith("Pruned by NetAdapt from small to 0.035 ms")
    assert begun == "It began with weights of timm:ten."


@pytest.mark.parametrize("command", ["eval", "netadapt"])
def test_other_classes_are_refused_where_nothing_is_trained_before(nas: Nas, command: str) -> None:
    more = ("--latency-table", "pixel1", "--target-ms", "0.03") if command == "netadapt" else ()
    reply = nas(command, "small.yaml", "--weights", "timm:thousand", "--data", "digits", *more)
    assert (reply.code, reply.out) == (2, "")
    assert reply.err.count("\n") == 1
    assert "timm:thousand tells 1000 classes apart, digits has 10 (0, 1, 2 and 7" in reply.err
    assert "nas train small --weights timm:thousand --data digits" in reply.err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:none", "is not cached, and the hub cannot be reached"),
        ("timm:none.safetensors", "there is no file none.safetensors"),
        ("torchvision:thousand/model.safetensors", "torchvision"),
        ("torchvision:mobilenet_v2", "there is no file mobilenet_v2 with weights"),
        ("timm:small.yaml", "small.yaml is no file of torch.save"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    nas: Nas, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for words in (WORDS, ("export", "small.yaml", "--out", "x.onnx")):
        reply = nas(*words, "--weights", source)
        assert reply.code == 2
        assert message in reply.err.splitlines()[-1]
        assert not Path("run").exists()
        assert not Path("x.onnx").exists()


@pytest.mark.parametrize(
    "variables",
    [
        {"HF_HUB_CACHE": "{}/hub"},
        {"HUGGINGFACE_HUB_CACHE": "{}/hub"},
        {"HF_HOME": "{}"},
        {"HF_HUB_CACHE": "$HF_HOME/hub", "HF_HOME": "{}"},
        {"XDG_CACHE_HOME": "{}"},
    ],
)
def test_the_cache_is_found_as_the_hub_finds_it(variables: dict[str, str], tmp_path: Path) -> None:
    given = {name: value.replace("{}", str(tmp_path)) for name, value in variables.items()}
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    ours = "import sys; from nas.training.hub import _cache; print(_cache()); "
    ours += "assert 'huggingface_hub' not in sys.modules"
    free = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "XDG"))}
    pytest.importorskip("huggingface_hub")
    found, wanted = (
        subprocess.run(
            [sys.executable, "-c", each],
            env=free | given,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for each in (ours, code)
    )
    assert found == wanted


def test_the_cache_is_found_by_its_variables(tmp_path: Path) -> None:
    place = tmp_path / "hub" / "models--timm--mobilenetv2_100.ra_in1k"
    folder = model(place / "snapshots" / ("1" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("1" * 40)
    done = subprocess.run(
        [sys.executable, "-c", "from nas.cli import main; main()", "list", "weights", "--json"],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": ""}
        | {"HF_HUB_CACHE": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)["weights"]
    assert found["timm:mobilenetv2_100.ra_in1k"]["cached"] == str(folder)
    assert found["timm:efficientnet_b0.ra_in1k"]["cached"] is None


def test_padding_survives_a_file(nas: Nas) -> None:
    arch = to_mapping(from_mapping({**SMALL, "padding": "same", "norm_epsilon": 1e-5}))
    Path("other.yaml").write_text(to_yaml(arch))
    assert nas("show", "other.yaml", "--json").code == 0
    assert nas("export", "other.yaml", "--out", "again.yaml").code == 0
    assert read_mapping(Path("again.yaml")) == arch
