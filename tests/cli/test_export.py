"""`nas export` and `nas study`: files for other programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_search import WORDS

from nas.network.blocks import to_mapping
from nas.network.checkpoint import AVERAGE, HEADER
from nas.network.lowering import lower
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

Nas = Callable[..., object]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_an_architecture_is_written_under_its_name(nas: Nas, form: str) -> None:
    reply = nas("export", "mnasnet_a1", "--format", form, "--json")
    found = json.loads(reply.out)
    assert found["path"] == f"mnasnet_a1.{form}"
    assert load_architecture(f"./mnasnet_a1.{form}") == load_architecture("mnasnet_a1")
    assert found["fingerprint"] == load_architecture("mnasnet_a1").fingerprint


def test_onnx_is_written_and_checks(nas: Nas) -> None:
    onnx = pytest.importorskip("onnx")
    reply = nas("export", "mobilenet_v3_small", "--format", "onnx", "--out", "small.onnx")
    assert (reply.code, reply.out, reply.err) == (
        0,
        "",
        "wrote small.onnx with random weights: for timing, not for accuracy\n",
    )
    onnx.checker.check_model(onnx.load("small.onnx"))


def test_the_opset_is_an_option(nas: Nas) -> None:
    onnx = pytest.importorskip("onnx")
    nas("export", "mobilenet_v1@0.25", "--out", "a.onnx", "--opset", "15")
    nas("export", "mobilenet_v1@0.25", "--format", "onnx:opset=15", "--out", "b.onnx")
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()
    assert onnx.load("a.onnx").opset_import[0].version == 15


@pytest.mark.parametrize(
    ("form", "opset", "message"),
    [
        ("onnx", "13", "the opset must be 14 or more for HardSwish, not 13"),
        ("onnx", "999", "less for onnx"),
        ("yaml", "17", "exporter yaml: unknown option 'opset'"),
    ],
)
def test_opsets_that_do_not_fit_are_one_line(nas: Nas, form: str, opset: str, message: str) -> None:
    pytest.importorskip("onnx")
    reply = nas("export", "mobilenet_v3_small", "--format", form, "--opset", opset, "--out", "x")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert message in reply.err
    assert not Path("x").exists()


def test_a_run_becomes_a_study(nas: Nas) -> None:
    nas("search", *WORDS, "--strategy", "random", "--trials", "20", "--out", "run", "--no-plot")
    reply = nas("study", "run", "--json")
    assert reply.code == 0
    assert json.loads(reply.out)["trials"] == 20
    assert Path("run/study.log").is_file()
    again = nas("study", "run")
    assert (again.code, len(again.err.splitlines())) == (2, 1)
    assert "it exists already; give another --storage" in again.err


def test_other_formats_are_written(nas: Nas) -> None:
    for form in ("timm", "torchvision", "hub"):
        reply = nas("export", "mobilenet_v2", "--format", form)
        assert (reply.code, reply.err) == (0, f"wrote mobilenet_v2.{form}\n")
        assert Path(f"mobilenet_v2.{form}").is_dir()
    reply = nas("export", "mobilenet_v2", "--out", "net.config")
    assert reply.code == 0
    assert {"net.config", "run.config"} <= {path.name for path in Path().iterdir()}
    shown = nas("show", "net.config", "--json")
    assert json.loads(shown.out)["macs"] == 300_774_272


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("mobilenet_v1", "--format", "torchvision"),
            "stages.0.0: torchvision's mobilenet_v2 has ",
        ),
        (
            ("efficientnet_b0", "--format", "ofa"),
            "stem.0: a network of Once-for-All has no activat",
        ),
        (
            ("mobilenet_v2", "--format", "json", "--latency-table", "pixel1"),
            "--latency-table is for",
        ),
        (("mobilenet_v2", "--format", "hub:licence=a b"), "licence must be an identifier of a lic"),
    ],
)
def test_what_a_format_cannot_express_is_one_line(
    nas: Nas, words: tuple[str, ...], message: str
) -> None:
    reply = nas("export", *words)
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert message in reply.err
    assert list(Path().iterdir()) == []


def test_a_trained_network_becomes_a_folder_for_the_hub(nas: Nas) -> None:
    for package in ("safetensors", "onnx", "ai_edge_litert"):
        pytest.importorskip(package)
    from safetensors.numpy import save_file

    arch = load_architecture("mobilenet_v2@0.35-64")
    data = {"name": "d", "fingerprint": "0", "classes": [str(n) for n in range(1000)],
            "mean": [0.5, 0.4, 0.3], "deviation": [0.2, 0.2, 0.2]}  # fmt: skip
    facts = {"schema": 1, "arch": to_mapping(arch), "data": data, "progress": {"top1": 0.625}}
    tensors = {f"{AVERAGE}{name}": value for name, value in random_weights(lower(arch)).items()}
    save_file(tensors, "x.safetensors", metadata={HEADER: json.dumps(facts)})
    words = ("--format", "hub:licence=mit", "--latency-table", "pixel1", "--out", "folder")
    reply = nas("export", "x.safetensors", *words)
    assert (reply.code, reply.err) == (0, "wrote folder with the weights of x.safetensors\n")
    card = Path("folder/README.md").read_text(encoding="utf-8")
    assert "62.5 % top-1 on the validation images of d." in card
    assert "ms on Google Pixel 1 with TensorFlow Lite of 2019" in card
    assert json.loads(Path("folder/config.json").read_text())["architecture"] == "mobilenetv2_035"
