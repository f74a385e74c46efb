"""Networks for timm: strings for the same blocks, names and shapes, and equal outputs."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from exporting.foreign import difference, found_networks, tensors_of

from nas.core.data import bundled
from nas.core.errors import BadValue, NasError
from nas.exporting.export import export
from nas.exporting.formats.timm import create
from nas.exporting.timm import timm_network
from nas.network.blocks import Architecture, Block
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.multipliers import round_channels
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

ZOO = tuple(bundled("architectures"))
ACTS = {"re": "relu", "r6": "relu6", "hs": "hswish", "sw": "swish"}
FULL_ACTS = {"relu": "relu", "relu6": "relu6", "hard_swish": "hswish", "swish": "swish"}
FULL_GATES = {"sigmoid": "sigmoid", "hard_sigmoid": "hsigmoid"}


def said(spec: Any) -> list[Block]:
    """Return the blocks that timm builds from the strings, by its rules."""
    channels, blocks = spec["arguments"]["stem_size"], []
    own = iter(spec["se_layer"]) if isinstance(spec["se_layer"], list) else repeat(spec["se_layer"])
    for stage in spec["arch_def"]:
        for number, string in enumerate(stage):
            kind, *words = string.split("_")
            options = dict(
                re.split(r"(?=\d)", word, maxsplit=1) for word in words if word[0] != "n"
            )
            for time in range(int(options["r"])):
                first = time == 0 and number == 0
                squeeze = next(own) if "se" in options else {}
                blocks.append(one(kind, words, (options, squeeze), spec, channels, first))
                channels = blocks[-1].out_channels
    return blocks


def one(kind: str, words: Sequence[str], said: Any, spec: Any, inputs: int, first: bool) -> Block:
    o, squeeze = said
    e = float(o.get("e", 1))
    hidden = round_channels(inputs * e) if kind == "ir" else inputs if kind == "ds" else 0
    ratio = float(o.get("se", 0))
    if kind == "ir" and spec["model"] == "EfficientNet":
        ratio /= e
    act = next((ACTS[w[1:]] for w in words if w[0] == "n" and w != "noskip"), None)
    act = act or FULL_ACTS[spec["act_layer"]]
    force = squeeze.get("force_act_layer")
    kinds = {"ir": "mbconv", "ds": "mbconv", "dsa": "separable", "cn": "conv"}
    se = round((hidden or inputs) * ratio)
    return Block(
        kind=kinds[kind],
        in_channels=inputs,
        out_channels=int(o["c"]),
        hidden_channels=hidden,
        kernel=int(o["k"]),
        stride=int(o["s"]) if first else 1,
        se_channels=se,
        act=act,
        se_act=(FULL_ACTS[force] if force else act) if se else "relu",
        gate=FULL_GATES[squeeze["gate_layer"]] if se else "sigmoid",
        skip="none" if "noskip" in words else "identity",
    )


def keys(units: Sequence[Unit], n: int) -> list[str]:
    return [unit.key for unit in units[1 : n + 1]]


def check(arch: Architecture) -> None:
    """Compare the strings for timm with the blocks after the stem."""
    network = timm_network(arch)
    spec = json.loads(json.dumps(network.as_mapping()))
    blocks = said(spec)
    stem = lower(arch)[0]
    told = Architecture(
        resolution=arch.resolution,
        input_channels=arch.input_channels,
        stem=(stem.block,),
        stages=(tuple(blocks),),
        head=(),
    )
    assert keys(lower(told), len(blocks)) == keys(lower(arch), len(blocks))
    assert set(network.names) == set(random_weights(lower(arch)))


@pytest.mark.parametrize("name", ZOO)
def test_strings_say_the_blocks_of_the_zoo(name: str) -> None:
    check(load_architecture(name))


@pytest.mark.parametrize("space", ["mbconv", "mobilenetv3", "mbconv_64", "mnasnet_b0"])
def test_strings_say_the_blocks_of_found_networks(space: str) -> None:
    for arch in found_networks(space, 8):
        check(arch)


def test_strings_are_timms_own_where_channels_decide_them() -> None:
    strings = {name: timm_network(load_architecture(name)).arch_def for name in ZOO}
    assert strings["mobilenet_v2"][1] == ("ir_r2_k3_s2_e6_c24",)
    assert strings["mobilenet_v1"][3] == ("dsa_r6_k3_s2_c512",)
    assert strings["efficientnet_b0"][6] == ("ir_r1_k3_s1_e6_c320_se0.25",)
    assert strings["single_path_nas"][2] == ("ir_r1_k5_s2_e6_c40", "ir_r3_k3_s1_e3_c40")
    assert strings["mobilenet_v3_large"][3] == (
        "ir_r1_k3_s2_e6_c80",
        "ir_r1_k3_s1_e2.5_c80",
        "ir_r2_k3_s1_e2.3_c80",
    )
    assert strings["mobilenet_v3_large"][6] == ("cn_r1_k1_s1_c960",)


@pytest.mark.parametrize(("name", "tensors"), tensors_of("timm").items())
def test_names_and_shapes_are_those_of_timm(name: str, tensors: Any) -> None:
    names = timm_network(load_architecture(name)).names
    assert {named.name: named.shape for named in names.values()} == tensors


def test_gates_that_differ_are_reported_one_by_one() -> None:
    b0 = load_architecture("efficientnet_b0")
    assert timm_network(b0).se_layer == {"gate_layer": "sigmoid"}
    hard = {"gate_layer": "hard_sigmoid", "force_act_layer": "swish"}
    soft = {**hard, "gate_layer": "sigmoid"}
    mixed = timm_network(changed("efficientnet_b0", 1, 0, gate="hsigmoid")).se_layer
    assert mixed == (soft, hard, *[soft] * 14)


def test_padding_and_epsilon_are_reported() -> None:
    b0 = load_architecture("efficientnet_b0")
    network = timm_network(replace(b0, padding="same", norm_epsilon=1e-5))
    assert (network.arguments["pad_type"], network.norm_layer) == ("same", {"eps": 1e-5})
    assert "pad_type" not in timm_network(b0).arguments


def test_a_stride_inside_of_a_stage_begins_another() -> None:
    b0 = load_architecture("efficientnet_b0")
    joined = replace(b0, stages=(tuple(b for stage in b0.stages for b in stage),))
    assert timm_network(joined).arch_def[:2] == (
        ("ds_r1_k3_s1_c16_se0.25",),
        ("ir_r2_k3_s2_e6_c24_se0.25",),
    )
    theirs = [named.name for named in timm_network(joined).names.values()]
    assert len(set(theirs)) == len(theirs)
    assert (
        timm_network(joined).names["stages.0.1.expand.weight"].name == "blocks.1.0.conv_pw.weight"
    )


def changed(name: str, stage: int, block: int, **values: Any) -> Architecture:
    arch = load_architecture(name)
    stages = [list(blocks) for blocks in arch.stages]
    stages[stage][block] = replace(stages[stage][block], **values)
    return replace(arch, stages=tuple(map(tuple, stages)))


BAD = [
    (
        changed("mobilenet_v2", 1, 1, hidden_channels=100),
        r"1\.1: timm .* in multiples of 8, not 100",
    ),
    (changed("mobilenet_v2", 1, 1, skip="pool"), r"stages\.1\.1: timm has no pooled shortcuts"),
    (changed("mobilenet_v2", 1, 1, act="none"), r"stages\.1\.1: timm has no activation none in"),
    (changed("mobilenet_v2", 1, 0, stride=3), r"stages\.1\.0: timm has no stride of 3 here"),
    (changed("efficientnet_b0", 2, 1, se_act="none"), r"2\.1: timm has no activation none in its"),
    (changed("mobilenet_v3_small", 0, 0, kind="conv"), r"stages\.0\.0: timm has no conv block"),
]


@pytest.mark.parametrize(("arch", "message"), BAD)
def test_what_cannot_be_expressed_names_its_block(
    arch: Architecture, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadValue, match=message) as caught:
        export(arch, tmp_path / "x", form="timm")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_stem_and_head_are_as_timm_has_them() -> None:
    b0, v3 = (load_architecture(n) for n in ("efficientnet_b0", "mobilenet_v3_small"))
    slow = replace(b0.stem[0], stride=1)
    with pytest.raises(BadValue, match=r"stem\.0: timm begins with a stride of 2, not 1"):
        timm_network(replace(b0, stem=(slow,)))
    wide = (replace(b0.stem[0], kernel=5),)
    assert timm_network(replace(b0, stem=wide)).arguments["stem_kernel_size"] == 5
    with pytest.raises(BadValue, match=r"stem\.0: timm has no kernel of 5 before a head like Mobi"):
        timm_network(replace(v3, stem=(replace(v3.stem[0], kernel=5), *v3.stem[1:])))
    head = (replace(b0.head[0], act="relu"), *b0.head[1:])
    with pytest.raises(BadValue, match=r"head\.0: timm has the activation of its stem here, swish"):
        timm_network(replace(b0, head=head))


def test_strides_beyond_32_are_asked_for() -> None:
    deeper = changed("efficientnet_b0", 6, 0, stride=2)
    assert timm_network(deeper).arguments["output_stride"] == 64
    with pytest.raises(BadValue, match=r"stages\.4\.0: timm has no strides beyond 32 with Mobile"):
        timm_network(changed("mobilenet_v3_small", 3, 0, stride=2))


def test_a_shortcut_that_is_not_wanted_is_reported() -> None:
    arch = changed("mobilenet_v2", 1, 1, skip="none")
    assert timm_network(arch).arch_def[1] == ("ir_r1_k3_s2_e6_c24", "ir_r1_k3_s1_e6_c24_noskip")


def test_the_folder_has_weights_where_some_are_given(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    arch = load_architecture("mobilenet_v3_small@0.5-64")
    create()(arch, tmp_path / "without")
    create()(arch, tmp_path / "with", random_weights(lower(arch)))
    files = {p.name: sorted(q.name for q in p.iterdir()) for p in tmp_path.iterdir()}
    assert files == {
        "without": ["model.py", "timm.json"],
        "with": ["config.json", "model.py", "model.safetensors", "timm.json"],
    }
    from safetensors.numpy import load_file

    found = load_file(tmp_path / "with" / "model.safetensors")
    names = timm_network(arch).names
    assert {name: w.shape for name, w in found.items()} == {n.name: n.shape for n in names.values()}
    text = (tmp_path / "with" / "model.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line]) < 25


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(NasError, match=r"cannot be written: it holds notes\.txt already"):
        create()(load_architecture("mobilenet_v2"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.torch
@pytest.mark.parametrize("name", ZOO)
def test_outputs_are_those_of_timm(name: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    assert difference(load_architecture(name), tmp_path / "x", create()) < 1e-5


@pytest.mark.torch
def test_outputs_with_tensorflows_padding_are_those_of_timm(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    tf = {"padding": "same", "norm_epsilon": 1e-5}
    assert difference(replace(load_architecture("mnasnet_a1"), **tf), tmp_path, create()) < 1e-5


@pytest.mark.torch
@pytest.mark.parametrize("space", ["mbconv", "mobilenetv3", "mbconv_64", "mnasnet_b0"])
def test_outputs_of_found_networks_are_those_of_timm(space: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    for number, arch in enumerate(found_networks(space, 3)):
        assert difference(arch, tmp_path / str(number), create()) < 1e-5
