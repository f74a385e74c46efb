"""Weights with names of timm and torchvision: written from ours, and read back."""

import json
import logging
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import save_file  # noqa: E402

from nas.core.deprecation import DeprecatedName  # noqa: E402
from nas.core.errors import BadFile, NasError, UnknownName  # noqa: E402
from nas.exporting.export import export  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.checkpoint import Checkpoint, DataMetadata  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.network.naming.tensors import Names, renamed  # noqa: E402
from nas.network.naming.timm import timm_names  # noqa: E402
from nas.network.naming.torchvision import torchvision_names  # noqa: E402
from nas.network.weights import Weights, random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.foreign import find_origin, known_weights, where_cached  # noqa: E402
from nas.training.pretrained import beginning, fine_tuning_options, load_weights  # noqa: E402
from nas.training.recipe_files import find_recipe  # noqa: E402
from nas.training.recipes import adapt  # noqa: E402
from nas.training.run import train  # noqa: E402
from nas.training.trained import network_of, with_weights  # noqa: E402

pytestmark = pytest.mark.torch

Tensors = Mapping[str, Any]
SMALL = Architecture(
    resolution=24,
    stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2, act="hswish"),),
    stages=(
        (Block(kind="mbconv", in_channels=8, out_channels=8, hidden_channels=8, kernel=3),),
        (Block(kind="mbconv", in_channels=8, out_channels=12, hidden_channels=16, kernel=5,
               stride=2, se_channels=4, gate="hsigmoid"),),
    ),
    head=(
        Block(kind="conv", in_channels=12, out_channels=24, act="hswish"),
        Block(kind="pool", in_channels=24, out_channels=24),
        Block(kind="linear", in_channels=24, out_channels=32, act="hswish"),
        Block(kind="linear", in_channels=32, out_channels=10, act="none"),
    ),
    name="small",
)  # fmt: skip
WEIGHTS = random_weights(lower(SMALL), seed=3)


def written(path: Path, tensors: Tensors) -> Path:
    """Write tensors as timm's hub or torchvision do, with the counters of batches."""
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    counters = {
        f"{name.removesuffix('running_var')}num_batches_tracked": np.array(7)
        for name in tensors
        if name.endswith("running_var")
    }
    if path.suffix == ".safetensors":
        save_file({**tensors, **counters}, path)
    else:
        every = {name: torch.from_numpy(value) for name, value in tensors.items()}
        torch.save(OrderedDict(every), path)
    return path


def outputs(model: Any, arch: Architecture) -> Any:
    images = np.random.default_rng(0).standard_normal((2, 3, arch.resolution, arch.resolution))
    with torch.no_grad():
        return model(torch.from_numpy(images.astype(np.float32)))


def check_equal(arch: Architecture, weights: Weights, source: str, epsilon: float) -> None:
    found = load_weights(arch, source)
    assert found.arch == replace(arch, norm_epsilon=epsilon)
    own = with_weights(found.arch, {k: torch.from_numpy(v) for k, v in weights.items()})
    assert torch.equal(outputs(network_of(found), arch), outputs(own, arch))


@pytest.mark.parametrize(
    ("name", "names_of", "file", "epsilon"),
    [
        ("mobilenet_v1", timm_names, "m.safetensors", 1e-5),
        ("mobilenet_v2", timm_names, "m.pth", 1e-5),
        ("mobilenet_v3_large", timm_names, "m.safetensors", 1e-5),
        ("mobilenet_v3_small", timm_names, "m.safetensors", 1e-5),
        ("mnasnet_a1", timm_names, "m.safetensors", 1e-5),
        ("efficientnet_b0", timm_names, "m.safetensors", 1e-5),
        ("mobilenet_v2", torchvision_names, "m.pth", 1e-5),
        ("mobilenet_v3_small", torchvision_names, "m.pth", 1e-3),
        ("mnasnet_b1", torchvision_names, "m.safetensors", 1e-5),
        ("efficientnet_b0", torchvision_names, "m.pth", 1e-5),
    ],
)
def test_networks_come_back_as_they_were_written(
    name: str, names_of: Callable[[Architecture], Names], file: str, epsilon: float, tmp_path: Path
) -> None:
    arch = load_architecture(f"{name}@0.25-32")
    weights = random_weights(lower(arch), seed=1)
    path = written(tmp_path / file, renamed(weights, names_of(arch)))
    library = "timm" if names_of is timm_names else "torchvision"
    check_equal(arch, weights, f"{library}:{path}", epsilon)


def test_unknown_names_are_taken_in_the_order_of_execution(tmp_path: Path) -> None:
    named = renamed(WEIGHTS, timm_names(SMALL))
    mine = {f"net.{i}": value for i, value in enumerate(named.values())}
    path = written(tmp_path / "mine.pth", mine)
    check_equal(SMALL, WEIGHTS, f"timm:{path}", 1e-5)
    other = dict(mine)
    other["net.5"] = np.zeros((9, 1, 3, 3), np.float32)
    written(path, other)
    with pytest.raises(
        NasError, match=r"tensor net.5 has shape \(9, 1, 3, 3\), not \(8, 1, 3, 3\)"
    ):
        load_weights(SMALL, f"timm:{path}")
    written(path, {name: mine[name] for name in list(mine)[:-1]})
    with pytest.raises(NasError, match="it has no tensor number"):
        load_weights(SMALL, f"timm:{path}")
    with pytest.raises(NasError, match=r"it has no tensor conv_stem\.weight"):
        load_weights(SMALL, f"timm:{written(tmp_path / 'm.safetensors', mine)}")


def test_names_of_the_other_library_are_refused(tmp_path: Path) -> None:
    """Shapes and order would fit, but epsilon and padding would be wrong."""
    path = written(tmp_path / "m.pth", renamed(WEIGHTS, timm_names(SMALL)))
    with pytest.raises(NasError, match=r"m\.pth has the names of timm; give timm:/"):
        load_weights(SMALL, f"torchvision:{path}")
    path = written(tmp_path / "m.safetensors", renamed(WEIGHTS, torchvision_names(SMALL)))
    with pytest.raises(NasError, match=r"m\.safetensors has the names of torchvision; give torch"):
        load_weights(SMALL, f"timm:{path}")


def small(folder: Path, config: Mapping[str, Any] | None = None, **changes: Any) -> Path:
    """Write `SMALL` as on the hub, some tensors changed or (None) left out."""
    folder.mkdir(exist_ok=True, parents=True)
    tensors = {**renamed(WEIGHTS, timm_names(SMALL)), **changes}
    kept = {name: value for name, value in tensors.items() if value is not None}
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    written(folder / "model.safetensors", kept)
    return folder


def test_what_is_exported_for_timm_comes_back(tmp_path: Path) -> None:
    """Also where a stage has a stride inside, at which another one begins there."""
    arch = replace(SMALL, padding="same", norm_epsilon=0.01, stem=(*SMALL.stem, *SMALL.stages[0]),
                   stages=((*SMALL.stages[0], *SMALL.stages[1]),))  # fmt: skip
    weights = random_weights(lower(arch))
    export(arch, tmp_path / "out", form="timm", weights=weights)
    found = load_weights(replace(arch, padding="symmetric"), f"timm:{tmp_path / 'out'}")
    assert found.arch == arch
    assert all(np.array_equal(found.weights[name], value) for name, value in weights.items())


def test_weights_of_another_resolution_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for form, arch in (
        ("timm", SMALL),
        ("torchvision", scale_resolution(load_architecture("mobilenet_v2"), 32)),
    ):
        weights = random_weights(lower(arch))
        export(arch, tmp_path / form, form=form, weights=weights)
        with caplog.at_level(logging.INFO, logger="nas.training.pretrained"):
            load_weights(arch, f"{form}:{tmp_path / form}")
            assert not caplog.messages
            load_weights(replace(arch, resolution=96), f"{form}:{tmp_path / form}")
        said = f"{form} was trained at {arch.resolution} px, {arch.name} takes 96 px"
        assert caplog.messages == [f"{form}:{tmp_path}/{said}"]
        caplog.clear()


def test_a_folder_for_the_hub_comes_back_with_its_classes(tmp_path: Path) -> None:
    arch = replace(SMALL, padding="same", norm_epsilon=0.01)
    data = DataMetadata(name="mine", fingerprint="", classes=tuple("abcdefghij"),
                     mean=(0.1, 0.2, 0.3), deviation=(0.4, 0.5, 0.6))  # fmt: skip
    trained = Checkpoint(path=tmp_path, arch=arch, weights=WEIGHTS, data=data, top1=0.5)
    export(arch, tmp_path / "out", form="hub", trained=trained)
    found = load_weights(SMALL, f"timm:{tmp_path / 'out'}")
    assert found.arch == arch
    assert found.named
    assert (found.data.classes, found.normalisation) == (data.classes, trained.normalisation)
    assert all(np.array_equal(found.weights[name], value) for name, value in WEIGHTS.items())


HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"architecture": "mobilenetv3_large_100"}, (1e-5, "symmetric", 0.485)),
        ({"architecture": "tf_mobilenetv3_large_100"}, (1e-3, "same", 0.485)),
        ({"architecture": "fbnetc_100"}, (1e-3, "symmetric", 0.485)),
        ({"architecture": "tf_efficientnet_b0", "pretrained_cfg": HALF}, (1e-3, "same", 0.5)),
        ({"architecture": "x", "model_args": {"bn_eps": 0.01, "pad_type": "same"}},
         (0.01, "same", 0.485)),
        ({"architecture": "tf_x", "model_args": {"pad_type": ""}}, (1e-3, "symmetric", 0.485)),
    ],
)  # fmt: skip
def test_conventions_travel_with_the_weights(
    config: Any, expected: tuple[float, str, float], tmp_path: Path
) -> None:
    found = load_weights(SMALL, f"timm:{small(tmp_path, config)}")
    assert (found.arch.norm_epsilon, found.arch.padding, found.data.mean[0]) == expected
    assert found.data.deviation[0] == (0.5 if expected[2] == 0.5 else 0.229)
    assert found.data.classes == tuple("0123456789")
    assert not found.named


def test_a_name_says_the_conventions_where_nothing_else_does(tmp_path: Path) -> None:
    tensors = renamed(WEIGHTS, timm_names(SMALL))
    path = written(tmp_path / "tf_mobilenetv3_large_100-1.pth", tensors)
    assert find_origin(f"timm:{path}", SMALL).padding == "same"
    path = written(tmp_path / "other.pth", tensors)
    b5 = load_architecture("efficientnet_b5")
    assert find_origin(f"timm:{path}", SMALL).padding == "symmetric"
    assert find_origin(f"torchvision:{path}", b5).norm_epsilon == 1e-3
    b4 = load_architecture("efficientnet_b4")
    assert find_origin(f"torchvision:{path}", b4).norm_epsilon == 1e-5


def test_a_training_begins_with_them(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    data = load_data("digits")
    found = load_weights(SMALL, f"timm:{small(tmp_path, {'pretrained_cfg': HALF})}")
    recipe = adapt(find_recipe("quick"), epochs=1, lr=1e-9)
    with pytest.warns(DeprecatedName, match=r"beginning is deprecated .* use fine_tuning_options"):
        options = beginning(found, data)
    assert options.normalisation == fine_tuning_options(found, data).normalisation
    assert options.weights_name == found.data.name
    trained = train(found.arch, data, recipe, options=options)
    assert trained.arch.norm_epsilon == 1e-5
    kept = trained.model.state_dict()["stages.1.0.project.weight"]
    assert np.allclose(kept, WEIGHTS["stages.1.0.project.weight"], atol=1e-6)


def test_labels_are_taken_where_they_are_told(tmp_path: Path) -> None:
    labels = [f"kind {i}" for i in range(10)]
    found = load_weights(SMALL, f"timm:{small(tmp_path, {'label_names': labels})}")
    assert found.named
    assert found.data.classes == tuple(labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bn1.weight": np.ones(9, np.float32)}, r"tensor bn1.weight has shape \(9,\), not \(8,\)"),
        ({"blocks.1.0.bn3.bias": None}, "it has no tensor blocks.1.0.bn3.bias"),
        ({"blocks.9.0.bn3.bias": np.ones(3, np.float32)},
         "of another architecture than small, which has no tensor blocks.9.0.bn3.bias"),
        ({"classifier.weight": np.ones((3, 32), np.float32), "classifier.bias": None},
         "it has no tensor classifier.bias"),
        ({"bn1.bias": np.full(8, np.nan, np.float32)}, "bn1.bias has numbers that are not finite"),
    ],
)  # fmt: skip
def test_the_first_tensor_that_does_not_fit_is_named(
    changes: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(NasError, match=message):
        load_weights(SMALL, f"timm:{small(tmp_path, **changes)}")


def test_other_numbers_of_classes_are_those_of_the_file(tmp_path: Path) -> None:
    changes = {
        "classifier.weight": np.ones((3, 32), np.float32),
        "classifier.bias": np.ones(3, np.float32),
    }
    found = load_weights(SMALL, f"timm:{small(tmp_path, **changes)}")
    assert found.arch.head[-1].out_channels == 3


def test_networks_without_names_elsewhere_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path) / "model.safetensors"
    block = replace(SMALL.stages[1][0], kind="separable", hidden_channels=0, se_channels=0)
    arch = replace(SMALL, stages=(SMALL.stages[0], (block,)))
    with pytest.raises(NasError, match=r"fit small: stages.1.0: torchvision's mobilenet_v3 has no"):
        load_weights(arch, f"torchvision:{path}")


class Wanting:
    """A pickle of this runs code when it is read."""

    def __reduce__(self) -> Any:
        return os.system, ("false",)


def test_files_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    good = small(tmp_path / "good") / "model.safetensors"
    half = tmp_path / "half.safetensors"
    half.write_bytes(good.read_bytes()[:-1000])
    wanting = tmp_path / "wanting.pth"
    torch.save({"weight": Wanting()}, wanting)
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(Wanting()))  # torch warns of its protocol
    for path, kind, message in (
        (half, BadFile, "is damaged"),
        (wanting, BadFile, "wants to run code when it is read"),
        (plain, BadFile, "holds more than tensors, which might run code"),
        ("", UnknownName, "timm: names no weights"),
        (tmp_path / "none.pth", UnknownName, "there is no file"),
        (tmp_path / "empty", UnknownName, "there is no file"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(kind, match=message):
            load_weights(SMALL, f"timm:{path}")
    (tmp_path / "good" / "config.json").write_text('{"architecture": 5')
    with pytest.raises(BadFile, match=r"config.json"):
        load_weights(SMALL, f"timm:{tmp_path / 'good'}")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub with one model, offline."""
    constants = pytest.importorskip("huggingface_hub.constants")
    cache = tmp_path / "hub"
    model = cache / "models--timm--small_100.test_in1k"
    small(model / "snapshots" / ("0" * 40), {"architecture": "small_100", "pretrained_cfg": HALF})
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return model


def test_the_cache_of_the_hub_is_enough(hub: Path) -> None:
    assert where_cached("timm:small_100.test_in1k") == hub / "snapshots" / ("0" * 40)
    found = load_weights(SMALL, "timm:small_100.test_in1k")
    assert found.path.parent.name == "0" * 40
    assert found.data.mean == (0.5, 0.5, 0.5)
    assert all(np.array_equal(found.weights[name], value) for name, value in WEIGHTS.items())


@pytest.mark.parametrize("name", ["mobilenetv3_large_100.ra_in2k", "a b", "../x/y"])
def test_what_is_not_cached_is_one_line(hub: Path, name: str) -> None:
    with pytest.raises(NasError) as caught:
        load_weights(SMALL, f"timm:{name}")
    message = str(caught.value)
    assert "\n" not in message
    if name.startswith("mobile"):
        assert "the hub cannot be reached" in message
        assert "did you mean timm:mobilenetv3_large_100.ra_in1k" in message


def test_what_the_hub_does_not_have_is_reported_with_close_names(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    def missing(repo: str, name: str) -> str:
        raise EntryNotFoundError(f"404: {repo}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", missing)
    with pytest.raises(UnknownName, match=r"the hub has no .*; did you mean timm:mnasnet_100.rmsp"):
        load_weights(SMALL, "timm:mnasnet_100.in1k")


def test_every_known_model_has_an_architecture() -> None:
    found = known_weights()
    assert {"mobilenet_v2", "mobilenet_v3_large", "efficientnet_b4"} <= set(found)
    assert all(one.source.startswith("timm:") for every in found.values() for one in every)
    assert all(0.6 < one.top1 < 0.9 for every in found.values() for one in every)
