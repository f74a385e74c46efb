"""Once-for-All's descriptions are converted into networks, and back."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.core.data import bundled
from nas.core.errors import BadFile, BadValue
from nas.exporting.ofa import net_config
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.ofa import is_net_config, run_config_path
from nas.network.zoo import load_architecture

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/data/net_configs"
FILES = sorted(p for p in PUBLISHED.glob("*.json") if not p.name.endswith(".run.json"))
HOLDABLE = [
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet_b1", "single_path_nas",
    "proxylessnas_mobile", "mobilenet_v3_large_nearest",
]  # fmt: skip


def config(name: str = "mobilenet_v3_small") -> dict[str, Any]:
    """Return the content of a net.config."""
    content = net_config(load_architecture(name))
    return dict(json.loads(json.dumps(content)))


def read(content: Any, folder: Path, name: str = "n.json") -> Any:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return load_architecture(path)


@pytest.mark.parametrize("name", HOLDABLE)
def test_a_network_is_read_back(name: str, tmp_path: Path) -> None:
    arch = load_architecture(name)
    (tmp_path / "n.run.json").write_text(json.dumps({"image_size": arch.resolution}))
    found = read(net_config(arch), tmp_path)
    assert [u.key for u in lower(found)] == [u.key for u in lower(arch)]
    assert (found.resolution, found.dropout, found.name) == (arch.resolution, arch.dropout, "n")
    assert net_config(found) == net_config(arch)


def test_v3_has_its_three_layers_behind_the_blocks_and_others_one() -> None:
    small, v2 = config(), config("mobilenet_v2")
    assert small["name"] == "MobileNetV3"
    assert small["final_expand_layer"]["out_channels"] == 576
    assert small["feature_mix_layer"]["use_bn"] is False
    assert (v2["name"], "final_expand_layer" in v2) == ("ProxylessNASNets", False)
    assert v2["feature_mix_layer"]["use_bn"] is True
    blocks = [block["mobile_inverted_conv"] for block in v2["blocks"]]
    assert [block["mid_channels"] for block in blocks[:3]] == [None, 96, 144]
    assert [bool(block["shortcut"]) for block in v2["blocks"][:3]] == [False, False, True]


@pytest.mark.parametrize("name", sorted({*bundled("architectures")} - {*HOLDABLE}))
def test_what_has_no_place_names_the_block(name: str) -> None:
    with pytest.raises(BadValue, match=r"(stages|stem|head)\.\d.*: a network of Once-for-All"):
        net_config(load_architecture(name))


@pytest.mark.skipif(not FILES, reason="needs the published descriptions")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_descriptions_are_written_as_they_were(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    arch = load_architecture(path)
    assert net_config(arch) == content
    run = json.loads(run_config_path(path).read_text(encoding="utf-8"))
    assert arch.resolution == run["image_size"]


@pytest.mark.skipif(not FILES, reason="needs the published descriptions")
def test_multiply_adds_are_those_in_the_name() -> None:
    (path,) = [path for path in FILES if path.name.startswith("flops-482M")]
    assert cost(load_architecture(path)).macs / 1e6 == pytest.approx(482.41, abs=0.005)


def test_a_net_config_is_named_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "run.config").write_text('{"image_size": 160, "n_epochs": 25}', encoding="utf-8")
    arch = read(config(), folder, "net.config")
    assert (arch.name, arch.resolution) == ("found", 160)


def test_without_a_run_config_it_is_at_224(tmp_path: Path) -> None:
    assert read(config("mobilenet_v2"), tmp_path).resolution == 224


def test_blocks_of_later_versions_and_skipped_ones_are_read(tmp_path: Path) -> None:
    content = config()
    arch = read(content, tmp_path)
    for block in content["blocks"]:
        block["name"], block["conv"] = "ResidualBlock", block.pop("mobile_inverted_conv")
        block["conv"] |= {"name": "MBConvLayer", "groups": None}
    skipped = {"name": "ResidualBlock", "conv": {"name": "ZeroLayer"},
               "shortcut": {"name": "IdentityLayer"}}  # fmt: skip
    content["blocks"].insert(3, skipped)
    assert read(content, tmp_path) == arch


def test_a_missing_shortcut_is_no_shortcut(tmp_path: Path) -> None:
    content = config("mobilenet_v2")
    content["blocks"][2]["shortcut"] = None
    arch = read(content, tmp_path)
    assert arch.stages[1][1].skip == "none"
    assert net_config(arch)["blocks"][2]["shortcut"] is None


BAD: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("name",), "ResNets", "name must be one of MobileNetV3, ProxylessNASNets, not 'ResNets'"),
    (("blocks", 1, "name"), "Block", r"blocks\.1\.name must be one of MobileInverted"),
    (("blocks", 1, "mobile_inverted_conv"), None, r"blocks\.1: missing mobile_inverted_conv"),
    (("blocks", 1, "shortcut"), {"name": "ConvLayer"}, r"blocks\.1: shortcut is read as Ident"),
    (("blocks", 1, "shortcut"), {"name": "IdentityLayer"}, r"blocks\.1: a shortcut needs stride 1"),
    (("blocks", 1, "mobile_inverted_conv", "kernel_size"), 4, r"blocks\.1: block kernel must be"),
    (("blocks", 1, "mobile_inverted_conv", "expand_ratio"), 1, "16 to 72 channels .* no block her"),
    (("blocks", 1, "mobile_inverted_conv", "act_func"), "tanh", "act_func must be one of relu, re"),
    (("blocks", 1, "mobile_inverted_conv", "groups"), 4, "groups must be null, not 4"),
    (("blocks", 3, "mobile_inverted_conv", "in_channels"), 32, "before it gives"),
    (("first_conv", "dilation"), 2, "first_conv: dilation must be 1, not 2"),
    (("first_conv", "use_bn"), False, "first_conv: only a convolution with use_bn is read"),
    (("feature_mix_layer", "use_bn"), True, "feature_mix_layer: only a 1x1 convolution"),
    (("classifier", "bias"), False, "classifier: bias must be true, not False"),
    (("classifier", "in_features"), 7, "in_channels of head.3 is 7"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "value", "message"), BAD)
def test_unsupported_networks_are_refused_in_one_line(
    steps: tuple[str | int, ...], value: Any, message: str, tmp_path: Path
) -> None:
    content: Any = config()
    inner = content
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    with pytest.raises(BadFile, match=message) as caught:
        read(content, tmp_path)
    assert str(tmp_path / "n.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_its_keys_make_a_net_config(tmp_path: Path) -> None:
    assert is_net_config(config())
    assert not is_net_config({"schema": 1, **config()})
    (tmp_path / "n.run.json").write_text('{"image_size": "large"}', encoding="utf-8")
    with pytest.raises(BadFile, match=r"n\.run\.json.*: image_size must be a whole number >= 1"):
        read(config(), tmp_path)
