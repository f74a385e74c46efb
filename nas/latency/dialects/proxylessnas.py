"""ProxylessNAS's tables (mobile_trim.yaml): expansions as ratios, the spread as a variance.

The format is that of Cai et al., 2019 (ProxylessNAS; code at mit-han-lab/proxylessnas, where
`search/utils/latency_estimator.py` looks keys up). Once-for-All has tables for this family of
networks too, one per resolution, with `std` for the spread; they are read as well.

| key | unit |
|---|---|
| `Conv` | the stem, a 3x3 convolution of stride 2 |
| `expanded_conv` | an mbconv; `expand` times the input channels are its hidden channels |
| `Conv_1` | the last convolution, 1x1 |
| `Logits` | pooling and classifier together; the time is counted at the classifier |

Keys do not name activations; those networks have ReLU6 everywhere except in linear bottlenecks and
the classifier. `act` sets another, for networks that differ from them only in this.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from nas.latency.dialect import Dialect
from nas.latency.dialects._keys import Key, lowered, parse, shapes
from nas.network.blocks import Block
from nas.network.layers import Unit
from nas.network.lowering import lower_block

_BLOCK = ("expand", "kernel", "stride", "idskip")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "Conv": (),
    "Conv_1": (),
    "Logits": (),
    "expanded_conv": _BLOCK,
}


def create(*, act: str = "relu6") -> Dialect:
    """Return the dialect; `act` is the activation that its keys stand for."""
    return Dialect(name="proxylessnas", spread="var", units=partial(_units, act=act), keys=_keys)


def _units(text: str, *, act: str) -> tuple[Unit, ...]:
    key = parse(text, _KINDS)
    if key.kind == "Logits":
        return _logits(key)
    expanded = key.kind == "expanded_conv"
    stem = key.kind == "Conv"
    block = Block(
        kind="mbconv" if expanded else "conv",
        in_channels=key.input[2],
        out_channels=key.output[2],
        hidden_channels=key.input[2] * key.numbers["expand"] if expanded else 0,
        kernel=key.numbers.get("kernel", 3 if stem else 1),
        stride=key.numbers.get("stride", 2 if stem else 1),
        act=act,
        skip="identity" if expanded and key.flag("idskip") else "none",
    )
    return (lowered(key, block),)


def _logits(key: Key) -> tuple[Unit, ...]:
    channels, classes = key.input[2], key.output[0]
    pool = Block(kind="pool", in_channels=channels, out_channels=channels)
    linear = Block(kind="linear", in_channels=channels, out_channels=classes, act="none")
    return lower_block(linear, (channels, 1, 1)), lower_block(pool, key.in_shape)


def _keys(units: Sequence[Unit]) -> Iterator[tuple[str, tuple[Unit, ...]]]:
    pools = [unit for unit in units if unit.block.kind == "pool"]
    for unit in units:
        given, out = shapes(unit)
        match unit.block.kind:
            case "conv":
                kind = "Conv" if unit.block.stride == 2 else "Conv_1"
                yield str(Key(kind=kind, input=given, output=out)), (unit,)
            case "mbconv":
                yield _expanded(unit), (unit,)
            case "linear":
                for pool in pools:
                    if pool.out_shape == unit.in_shape:
                        key = Key(kind="Logits", input=shapes(pool)[0], output=out[2:])
                        yield str(key), (unit, pool)


def _expanded(unit: Unit) -> str:
    block, (given, out) = unit.block, shapes(unit)
    numbers = {
        "expand": block.hidden_channels // block.in_channels,
        "kernel": block.kernel,
        "stride": block.stride,
        "idskip": int(unit.shortcut == "identity"),
    }
    return str(Key(kind="expanded_conv", input=given, output=out, numbers=numbers))
