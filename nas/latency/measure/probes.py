"""Random units from a wide range, to fit an operator model on more than one family."""

from collections.abc import Iterator

import numpy as np

from nas.network.blocks import Block
from nas.network.layers import Shape, Unit
from nas.network.lowering import lower_block

_MAPS = (112, 56, 40, 28, 20, 14, 10, 7)
_SIDES = {"mbconv": _MAPS, "separable": _MAPS, "conv": _MAPS, "linear": (1,)}
_STEM_SIDES = (96, 128, 160, 192, 224, 240)
_ACTS = ("relu", "relu6", "swish", "hswish")
_MAX_ELEMENTS = 1_000_000
_MAX_CHANNELS = 1600


def smallest() -> Unit:
    """Return a unit of one multiply-add, which takes what any run costs."""
    block = Block(kind="linear", in_channels=1, out_channels=1, act="none")
    return lower_block(block, (1, 1, 1), name="unit")


def probes(rng: np.random.Generator, count: int, *, shrink: float = 1.0) -> tuple[Unit, ...]:
    """Return `count` random units, most of them `mbconv` of odd channel counts.

    Maps have 7 to 112 pixels a side, times `shrink`, and at most a million elements, kernels are 1
    to 7; with and without squeeze-and-excitation, shortcut and stride; every activation.
    """
    drawn = _draw(rng, shrink)
    return tuple(next(drawn) for _ in range(count))


def _draw(rng: np.random.Generator, shrink: float) -> Iterator[Unit]:
    while True:
        make = _MAKERS[int(rng.choice(len(_MAKERS), p=_SHARES))]
        block = make(rng, str(rng.choice(_ACTS)))
        sides = _SIDES[block.kind] if block.in_channels > 3 else _STEM_SIDES
        side = max(1, round(shrink * int(rng.choice(sides))))
        shape: Shape = (block.in_channels, side, side)
        unit = lower_block(block, shape, name="unit")
        widest = max(block.hidden_channels, block.in_channels, block.out_channels)
        if widest <= _MAX_CHANNELS and widest * side * side <= _MAX_ELEMENTS:
            yield unit


def _channels(rng: np.random.Generator, low: int, high: int) -> int:
    """Return a number of channels, uniform in its logarithm; a third of them no multiple of 8."""
    value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return max(1, round(value)) if rng.random() < 1 / 3 else max(8, 8 * round(value / 8))


def _mbconv(rng: np.random.Generator, act: str) -> Block:
    inputs = _channels(rng, 8, 320)
    stride = int(rng.choice((1, 1, 2)))
    same = stride == 1 and rng.random() < 0.5
    hidden = max(1, round(inputs * rng.uniform(1, 7)))
    hidden = hidden if rng.random() < 1 / 3 else max(8, 8 * round(hidden / 8))
    squeezed = rng.random() < 0.4
    hard = act == "hswish"
    return Block(
        kind="mbconv",
        in_channels=inputs,
        out_channels=inputs if same else _channels(rng, 8, 320),
        hidden_channels=hidden,
        kernel=int(rng.choice((3, 5, 7))),
        stride=stride,
        se_channels=max(4, round(hidden * rng.uniform(0.04, 0.25))) if squeezed else 0,
        act=act,
        se_act="swish" if act == "swish" and squeezed else "relu",
        gate="hsigmoid" if hard and squeezed else "sigmoid",
    )


def _separable(rng: np.random.Generator, act: str) -> Block:
    return Block(
        kind="separable",
        in_channels=_channels(rng, 8, 1024),
        out_channels=_channels(rng, 16, 1024),
        kernel=int(rng.choice((3, 5))),
        stride=int(rng.choice((1, 2))),
        act=act,
    )


def _pointwise(rng: np.random.Generator, act: str) -> Block:
    return Block(
        kind="conv",
        in_channels=_channels(rng, 16, 640),
        out_channels=_channels(rng, 64, 1600),
        kernel=1,
        act=act,
    )


def _stem(rng: np.random.Generator, act: str) -> Block:
    return Block(
        kind="conv",
        in_channels=3,
        out_channels=_channels(rng, 8, 64),
        kernel=3,
        stride=int(rng.choice((1, 2))),
        act=act,
    )


def _linear(rng: np.random.Generator, act: str) -> Block:
    return Block(
        kind="linear",
        in_channels=_channels(rng, 128, 1600),
        out_channels=_channels(rng, 10, 1600),
        act="none",
    )


_MAKERS = (_mbconv, _separable, _pointwise, _stem, _linear)
_SHARES = (0.68, 0.12, 0.1, 0.06, 0.04)
