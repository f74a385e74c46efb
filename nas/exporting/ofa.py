"""Once-for-All's descriptions of networks (net.config), written; `nas.network.ofa` reads them."""

from collections.abc import Mapping
from typing import Any, NoReturn

from nas.core.errors import BadValue
from nas.exporting.detector_config import check_classifier
from nas.network.blocks import Architecture, Block, steps
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.ofa import ACT_NAMES, KINDS, ORDER, se_channels

_THEIRS: Mapping[str, str | None] = {ours: name for name, ours in ACT_NAMES.items()} | {
    "none": None
}


def net_config(arch: Architecture) -> dict[str, Any]:
    """Return the content of the net.config of `arch`.

    The rate of dropping residual branches has no place there.

    Raises:
        BadValue: if a block has no place in it; it names the block.
    """
    check_classifier(arch, "Once-for-All")
    stem, *body = lower(arch)
    if arch.padding != "symmetric":
        _no_place(stem, f"has no {arch.padding} padding")
    head = [body.pop() for _ in arch.head][::-1]
    parts = {"first_conv": _conv_config(stem), "blocks": [_block_config(unit) for unit in body]}
    name, behind = _head_config(head) if head else _no_place(stem, "has a head")
    norm = {"momentum": 0.1, "eps": arch.norm_epsilon}
    classifier = _classifier(head[-1], arch.dropout)
    return {"name": name, "bn": norm, **parts, **behind, "classifier": classifier}


def _head_config(head: list[Unit]) -> tuple[str, dict[str, Any]]:
    """Return the kind of network, and what lies between its blocks and its classifier."""
    match kinds := [unit.block.kind for unit in head]:
        case ["conv", "pool", "linear", "linear"]:
            last, mix = _conv_config(head[0]), _conv_mapping(head[2], use_bn=False)
            return KINDS[0], {"final_expand_layer": last, "feature_mix_layer": mix}
        case ["conv", "pool", "linear"]:
            return KINDS[1], {"feature_mix_layer": _conv_config(head[0])}
        case ["pool", "linear"]:
            return KINDS[1], {"feature_mix_layer": None}
    _no_place(head[0], f"has no head of {', '.join(kinds)}")


def run_config(arch: Architecture) -> dict[str, Any]:
    """Return the content of the run.config of `arch`."""
    return {"image_size": arch.resolution}


def _no_place(unit: Unit, why: str) -> NoReturn:
    raise BadValue(f"{unit.name}: a network of Once-for-All {why}", *steps(unit.name))


def _act_name(unit: Unit) -> str | None:
    if unit.block.act not in _THEIRS:
        _no_place(unit, f"has no activation {unit.block.act}")
    return _THEIRS[unit.block.act]


def _conv_config(unit: Unit) -> dict[str, Any]:
    block = unit.block
    if block.kind != "conv" or block.squeezes:
        _no_place(unit, "has a plain convolution here")
    return _conv_mapping(unit, use_bn=True)


def _conv_mapping(unit: Unit, *, use_bn: bool) -> dict[str, Any]:
    return {
        "name": "ConvLayer",
        "kernel_size": unit.block.kernel,
        "stride": unit.block.stride,
        "dilation": 1,
        "groups": 1,
        "bias": False,
        "has_shuffle": False,
        **_layer(unit, use_bn=use_bn, act=_act_name(unit)),
    }


def _layer(unit: Unit, *, use_bn: bool, act: str | None) -> dict[str, Any]:
    return {
        "in_channels": unit.block.in_channels,
        "out_channels": unit.block.out_channels,
        "use_bn": use_bn,
        "act_func": act,
        "dropout_rate": 0,
        "ops_order": ORDER,
    }


def _block_config(unit: Unit) -> dict[str, Any]:
    block = unit.block
    if block.kind != "mbconv" or unit.shortcut == "pool":
        what = "pooled shortcuts" if block.kind == "mbconv" else f"{block.kind} blocks"
        _no_place(unit, f"has no {what} between its first convolution and its head")
    squeeze = (block.se_channels, block.se_act, block.gate)
    if block.squeezes and squeeze != (se_channels(block.hidden_channels), "relu", "hsigmoid"):
        _no_place(
            unit,
            f"squeezes {block.hidden_channels} channels to {se_channels(block.hidden_channels)}, "
            f"with relu and hsigmoid, not to {block.se_channels} with {block.se_act} and "
            f"{block.gate}",
        )
    conv = {
        "name": "MBInvertedConvLayer",
        "in_channels": block.in_channels,
        "out_channels": block.out_channels,
        "kernel_size": block.kernel,
        "stride": block.stride,
        "expand_ratio": _ratio(block),
        "mid_channels": block.hidden_channels if block.expands else None,
        "act_func": _act_name(unit),
        "use_se": block.squeezes,
    }
    identity = {"name": "IdentityLayer", **_layer(unit, use_bn=False, act=None)}
    channels = {name: [block.out_channels] for name in ("in_channels", "out_channels")}
    shortcut = {**identity, **channels} if unit.shortcut == "identity" else None
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": conv,
        "shortcut": shortcut,
    }


def _ratio(block: Block) -> int | float:
    whole, rest = divmod(block.hidden_channels, block.in_channels)
    return block.hidden_channels / block.in_channels if rest else whole


def _classifier(unit: Unit, dropout: float) -> dict[str, Any]:
    if unit.block.kind != "linear" or unit.block.act != "none":
        _no_place(unit, "ends in a linear layer without an activation")
    return {
        "name": "LinearLayer",
        "in_features": unit.block.in_channels,
        "out_features": unit.block.out_channels,
        "bias": True,
        "use_bn": False,
        "act_func": None,
        "dropout_rate": dropout,
        "ops_order": ORDER,
    }
