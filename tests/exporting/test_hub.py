"""A folder for the hub: all its files describe one network, and the card gives its origin."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from detectors import tiny_detector
from exporting.foreign import found_networks

from nas.core.errors import NasError
from nas.exporting.export import export
from nas.exporting.formats.hub import create
from nas.exporting.hub import hub_files
from nas.exporting.timm_config import known_name
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

DATA = {
    "data": "a*b<i>",
    "classes": json.dumps([str(n) for n in range(10)]),
    "mean": "[0.5, 0.4, 0.3]",
    "deviation": "[0.2, 0.2, 0.25]",
    "crop": "the centre",
    "interpolation": "bilinear",
    "channel_order": "RGB",
    "range": "0 to 1",
    "top1": "0.8765",
}
NOTES = {"latency": '["5.0 ms on a phone"]', "lineage": '["Found by [luck](x)."]'}


def small(name: str = "mobilenet_v3_small") -> Architecture:
    """Return a network of ten classes for small images."""
    arch = load_architecture(f"{name}@1.0-64")
    return replace(arch, head=(*arch.head[:-1], replace(arch.head[-1], out_channels=10)))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Return the folder of a trained network."""
    for package in ("onnx", "safetensors", "flatbuffers", "ai_edge_litert"):
        pytest.importorskip(package)
    weights = random_weights(lower(small()))
    return hub_files(small(), weights, {**DATA, **NOTES}, licence="apache-2.0")


def card(files: dict[str, bytes]) -> tuple[Any, str]:
    _, head, text = files["README.md"].decode().split("---\n", maxsplit=2)
    return yaml.safe_load(head), text


def test_all_files_are_there(files: dict[str, bytes]) -> None:
    assert set(files) == {
        "README.md", "arch.yaml", "config.json", "model.onnx", "model.py", "model.safetensors",
        "model.tflite", "timm.json",
    }  # fmt: skip


def test_the_card_says_what_is_known(files: dict[str, bytes]) -> None:
    head, text = card(files)
    assert head == {
        "license": "apache-2.0",
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "neural-architecture-search", "timm"],
    }
    assert "# mobilenet\\_v3\\_small@1.0-64" in text
    assert "for 3 x 64 x 64 inputs and 10 classes." in text
    assert "87.6 % top-1 on the validation images of a\\*b\\<i\\>." in text
    assert "- mean: 0.5, 0.4, 0.3; deviation: 0.2, 0.2, 0.25" in text
    assert "5.0 ms on a phone" in text
    assert "Found by \\[luck\\](x)." in text
    assert "- `model.tflite`: the network for LiteRT" in text
    assert text.endswith("## Licence\n\napache-2.0.\n")


def test_the_configuration_has_timms_shape(files: dict[str, bytes]) -> None:
    config = json.loads(files["config.json"])
    pretrained = config.pop("pretrained_cfg")
    assert config == {
        "architecture": "mobilenetv3_small_100",
        "num_classes": 10,
        "num_features": 1024,
        "global_pool": "avg",
        "label_names": [str(n) for n in range(10)],
        "model_args": {"bn_eps": 0.001},
    }
    assert pretrained["input_size"] == [3, 64, 64]
    assert (pretrained["mean"], pretrained["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.2, 0.25])
    assert (pretrained["pool_size"], pretrained["num_classes"]) == ([2, 2], 10)
    assert pretrained["license"] == "apache-2.0"


def test_graphs_and_weights_are_of_one_network(files: dict[str, bytes], tmp_path: Path) -> None:
    onnx, runtime = (pytest.importorskip(n) for n in ("onnx", "onnxruntime"))
    from safetensors.numpy import load

    assert load(files["model.safetensors"])["classifier.weight"].shape == (10, 1024)
    facts = {p.key: p.value for p in onnx.load_from_string(files["model.onnx"]).metadata_props}
    assert facts["data"] == "a*b<i>"
    assert not {"latency", "lineage"} & set(facts)
    session = runtime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    logits = session.run(["logits"], {"input": images})[0]
    lite = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        model_content=files["model.tflite"]
    )
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], images.transpose(0, 2, 3, 1))
    lite.invoke()
    other = lite.get_tensor(lite.get_output_details()[0]["index"])
    assert np.abs(other - logits).max() < 1e-4 * np.abs(logits).max()
    (tmp_path / "arch.yaml").write_bytes(files["arch.yaml"])
    assert load_architecture(tmp_path / "arch.yaml") == small()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("mobilenet_v2@1.4", "mobilenetv2_140"),
        ("mobilenet_v2@0.35-96", "mobilenetv2_035"),
        ("mnasnet_a1@0.5", "semnasnet_050"),
        ("mobilenet_v3_large@0.75", "mobilenetv3_large_075"),
        ("efficientnet_b3", "efficientnet_b3"),
        ("mobilenet_v3_small@0.5", ""),  # timm does not narrow its stem
        ("mobilenet_v2@1.3", ""),
        ("proxylessnas_mobile", ""),
    ],
)
def test_timms_own_networks_are_known_at_their_widths(ours: str, theirs: str) -> None:
    assert known_name(load_architecture(ours)) == theirs


def test_a_network_that_timm_has_not_is_no_name_of_timm() -> None:
    (arch,) = found_networks("mobilenetv3", 1)
    files = hub_files(replace(arch, name="found/3"), None, None)
    assert json.loads(files["config.json"])["architecture"] == "found_3"
    assert {"model.py", "timm.json"} <= set(files)
    head, text = card(files)
    assert "library_name" not in head
    assert "license" not in head
    assert "It is not trained: there are no weights here." in text
    assert "None is stated." in text


def test_data_of_another_librarys_weights_are_theirs() -> None:
    files = hub_files(small(), None, {**DATA, "data": "timm:a"})
    assert "That of timm:a, of 10 classes, which" in card(files)[1]


def test_weights_have_our_names_where_timm_has_none() -> None:
    pytest.importorskip("safetensors")
    pytest.importorskip("ai_edge_litert")
    from safetensors.numpy import load

    arch = small("mobilenet_v2")
    odd = replace(arch.stages[1][1], hidden_channels=100)
    arch = replace(arch, stages=(arch.stages[0], (arch.stages[1][0], odd), *arch.stages[2:]))
    weights = random_weights(lower(arch))
    files = hub_files(arch, weights, DATA)
    assert set(load(files["model.safetensors"])) == set(weights)
    assert "model.py" not in files
    built = "nas.build_model(nas.load_architecture('arch.yaml'))"
    assert f"`model.safetensors`: the weights, by the names of `{built}`" in card(files)[1]
    config = json.loads(files["config.json"])["pretrained_cfg"]
    named = load(files["model.safetensors"])
    assert {f"{config[key]}.weight" for key in ("first_conv", "classifier")} <= set(named)


@pytest.mark.parametrize("coder", ["ssd", "yolo"])
def test_a_detector_is_one_on_the_hub(coder: str) -> None:
    for package in ("onnx", "onnxruntime", "safetensors", "flatbuffers", "ai_edge_litert"):
        pytest.importorskip(package)
    arch = tiny_detector(coder)
    facts = {k: v for k, v in DATA.items() if k != "top1"} | {"map": "0.375", "classes": '["a"]'}
    files = hub_files(arch, random_weights(lower(arch)), {**facts, **NOTES})
    assert set(files) == {
        "README.md", "arch.yaml", "config.json", "model.onnx", "model.safetensors", "model.tflite",
    }  # fmt: skip
    head, text = card(files)
    assert head == {
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", "neural-architecture-search"],
    }
    assert f"A convolutional object detector of {cost(arch).params:,} parameters" in text
    assert "37.5 AP (COCO's) on the validation images of" in text
    assert "top-1" not in text
    assert "5.0 ms on a phone" in text
    assert "- `model.onnx`: the network for onnxruntime; it ends in boxes" in text
    config = json.loads(files["config.json"])
    assert config["num_classes"] == config["pretrained_cfg"]["num_classes"] == 3
    assert config["detector"]["coder"] == coder
    assert config["pretrained_cfg"]["crop_mode"] == "squash"
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["boxes", "scores", "labels"]


@pytest.mark.parametrize("form", ["timm", "torchvision", "ofa"])
def test_detectors_have_no_configuration_of_other_libraries(form: str, tmp_path: Path) -> None:
    match = "is told of classifiers only, and tiny_ssd is a detector; export it as onnx, tflite"
    with pytest.raises(NasError, match=match):
        export(tiny_detector(), tmp_path / "x", form=form)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("licence", ["my licence", "-x", "a\nb"])
def test_a_licence_is_an_identifier(licence: str) -> None:
    with pytest.raises(NasError, match="licence must be an identifier of a licence, as apache-2"):
        hub_files(small(), None, None, licence=licence)


@pytest.mark.torch
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_the_folder_is_read_back_as_weights_of_timm(padding: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from nas.training.pretrained import load_weights

    arch = replace(small("mnasnet_a1"), padding=padding, norm_epsilon=2e-4)
    weights = random_weights(lower(arch))
    create()(arch, tmp_path / "x", weights, DATA)
    found = load_weights(small("mnasnet_a1"), f"timm:{tmp_path / 'x'}")
    assert found.arch == arch
    assert found.data.classes == tuple(map(str, range(10)))
    assert found.normalisation == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.25))
    assert all(np.array_equal(found.weights[name], value) for name, value in weights.items())


@pytest.mark.torch
@pytest.mark.parametrize(
    "name", ["mobilenet_v1", "mobilenet_v3_large", "single_path_nas", "efficientnet_b1"]
)
def test_timm_loads_the_folder_by_itself(name: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    import torch

    from nas.models.build import build_model

    arch = small(name)
    weights = random_weights(lower(arch))
    for file, content in hub_files(arch, weights, DATA).items():
        (tmp_path / file).write_bytes(content)
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    ours = build_model(arch).eval()
    ours.load_state_dict({n: torch.from_numpy(w) for n, w in weights.items()}, strict=False)
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32))
    with torch.no_grad():
        found, wanted = theirs(images), ours(images)
    assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-5
    assert theirs.pretrained_cfg["std"] == [0.2, 0.2, 0.25]
