"""Once-for-All's tables (RESOLUTION_lookup_table.yaml) of its MobileNetV3 space.

The format is that of Cai et al., 2020 (Once-for-All; code at mit-han-lab/once-for-all, where
`MBv3LatencyTable` in `ofa/nas/efficiency_predictor/latency_lookup_table.py` looks keys up). Its
tables for the ProxylessNAS family have other keys, those of the dialect proxylessnas.

| key | unit |
|---|---|
| `Conv` | the stem, a 3x3 convolution of stride 2, with h-swish |
| `expanded_conv` | an mbconv; `expand` are its hidden channels, `hs` means h-swish, else ReLU |
| `Conv_1` | the last convolution, 1x1, with h-swish |
| `AvgPool2D` | the pooling |
| `Conv_2` | the linear layer after it, with h-swish (a 1x1 convolution without bias there) |
| `Logits` | the classifier |

With `se` a block has squeeze-and-excitation of a quarter of the hidden channels, in multiples of
8, with ReLU inside and a hard sigmoid as its gate.
"""

from collections.abc import Iterator, Mapping, Sequence

from nas.latency.dialect import Dialect
from nas.latency.dialects._keys import Key, lowered, parse, shapes
from nas.network.blocks import Block
from nas.network.layers import Unit
from nas.network.multipliers import round_channels

_BLOCK = ("expand", "kernel", "stride", "idskip", "se", "hs")
_OTHERS = {
    "Conv": ("conv", 3, 2, "hswish"),
    "Conv_1": ("conv", 1, 1, "hswish"),
    "AvgPool2D": ("pool", 1, 1, "relu6"),
    "Conv_2": ("linear", 1, 1, "hswish"),
    "Logits": ("linear", 1, 1, "none"),
}
"""The kind of block, kernel, stride and activation of units that are not mbconv."""

_KINDS: Mapping[str, tuple[str, ...]] = {"expanded_conv": _BLOCK, **{kind: () for kind in _OTHERS}}


def create() -> Dialect:
    """Return the dialect."""
    return Dialect(name="ofa", spread="std", units=_units, keys=_keys)


def _units(text: str) -> tuple[Unit, ...]:
    key = parse(text, _KINDS)
    return (lowered(key, _mbconv(key) if key.kind == "expanded_conv" else _other(key)),)


def _other(key: Key) -> Block:
    kind, kernel, stride, act = _OTHERS[key.kind]
    return Block(
        kind=kind,
        in_channels=key.input[2],
        out_channels=key.output[-1],
        kernel=kernel,
        stride=stride,
        act=act,
    )


def _mbconv(key: Key) -> Block:
    hidden = key.numbers["expand"]
    return Block(
        kind="mbconv",
        in_channels=key.input[2],
        out_channels=key.output[2],
        hidden_channels=hidden,
        kernel=key.numbers["kernel"],
        stride=key.numbers["stride"],
        se_channels=round_channels(hidden // 4) if key.flag("se") else 0,
        act="hswish" if key.flag("hs") else "relu",
        gate="hsigmoid",
        skip="identity" if key.flag("idskip") else "none",
    )


def _keys(units: Sequence[Unit]) -> Iterator[tuple[str, tuple[Unit, ...]]]:
    for unit in units:
        key = _key(unit)
        if key is not None:
            yield str(key), (unit,)


def _key(unit: Unit) -> Key | None:
    block, (given, out) = unit.block, shapes(unit)
    match block.kind:
        case "conv":
            return Key(kind="Conv" if block.stride == 2 else "Conv_1", input=given, output=out)
        case "pool":
            return Key(kind="AvgPool2D", input=given, output=out)
        case "linear" if block.act == "none":
            return Key(kind="Logits", input=given, output=out[2:])
        case "linear":
            return Key(kind="Conv_2", input=given, output=out)
        case "mbconv":
            return Key(kind="expanded_conv", input=given, output=out, numbers=_numbers(unit))
        case _:
            return None


def _numbers(unit: Unit) -> dict[str, int]:
    block = unit.block
    return {
        "expand": block.hidden_channels,
        "kernel": block.kernel,
        "stride": block.stride,
        "idskip": int(unit.shortcut == "identity"),
        "se": int(block.se_channels > 0),
        "hs": int(block.act == "hswish"),
    }
