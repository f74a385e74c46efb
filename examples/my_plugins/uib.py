"""The universal inverted bottleneck of MobileNetV4 (Qin et al., 2024), a kind of block.

An inverted bottleneck with one depthwise convolution before the expansion (`start`, its kernel; 0
for none) and one between expansion and projection (`middle`, of the block's kernel), each of which
may be missing:

    kind: my_plugins.uib:start=5            ExtraDW
    kind: my_plugins.uib                    IB, as MobileNetV2's
    kind: my_plugins.uib:start=3,middle=false   ConvNext
    kind: my_plugins.uib:middle=false       FFN

The first one is linear. The last depthwise convolution has the stride.
"""

from dataclasses import replace

from nas.core.errors import NasError
from nas.network.blocks import Architecture, Block
from nas.network.kinds import BlockKind, depthwise_conv, pointwise_conv, squeeze
from nas.network.layers import Layer, Shape

NAME = "my_plugins.uib"
EXTRA, CONVNEXT = f"{NAME}:start={{}}", f"{NAME}:start={{}},middle=false"


def create(*, start: int = 0, middle: bool = True) -> BlockKind:
    """Return the kind with the given depthwise convolutions."""
    if start < 0 or (start and start % 2 == 0):
        raise NasError(f"block kind uib: start must be odd, or 0 for none, not {start}")

    def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
        """Return the layers of one block, or of many with the same layers."""
        layers: list[Layer] = []
        if not (start or middle) and block.stride != 1:
            raise NasError("a uib block without depthwise convolutions has no stride")
        if start:
            first = replace(block, kernel=start, act="none", stride=1 if middle else block.stride)
            layers.append(depthwise_conv(first, shape, name="start"))
            shape = layers[-1].out_shape
        layers.append(pointwise_conv("expand", shape, block.hidden_channels, block.act))
        shape = layers[-1].out_shape
        if middle:
            layers.append(depthwise_conv(block, shape))
            shape = layers[-1].out_shape
        layers += squeeze(block, shape)
        layers.append(pointwise_conv("project", shape, block.out_channels, "none"))
        return tuple(layers)

    kernel = ("kernel",) if middle else ()
    return BlockKind(lower=lower, choices=("expansion", "se", "act", "skip", *kernel))


def mobilenet_v4_conv_small(*, classes: int = 1000) -> Architecture:
    """Return MobileNetV4-Conv-Small at 224 pixels: 3,774,024 parameters, 186 M multiply-adds.

    Its weights are published by others; only the network is here.
    """
    stages = (
        (_conv(32, 32, 3, 2), _conv(32, 32)),
        (_conv(32, 96, 3, 2), _conv(96, 64)),
        (
            _uib(64, 96, 3, kernel=5, kind=EXTRA.format(5), stride=2),
            *(_uib(96, 96, 2) for _ in range(4)),
            _uib(96, 96, 4, kernel=1, kind=CONVNEXT.format(3)),
        ),
        (
            _uib(96, 128, 6, kind=EXTRA.format(3), stride=2),
            _uib(128, 128, 4, kernel=5, kind=EXTRA.format(5)),
            _uib(128, 128, 4, kernel=5),
            _uib(128, 128, 3, kernel=5),
            *(_uib(128, 128, 4) for _ in range(2)),
        ),
    )
    head = (
        _conv(128, 960),
        Block(kind="pool", in_channels=960, out_channels=960),
        _conv(960, 1280),
        Block(kind="linear", in_channels=1280, out_channels=classes, act="none"),
    )
    return Architecture(
        name="mobilenet_v4_conv_small",
        resolution=224,
        stem=(_conv(3, 32, 3, 2),),
        stages=stages,
        head=head,
        dropout=0.2,
    )


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> Block:
    return Block(
        kind="conv", in_channels=inputs, out_channels=outputs, kernel=kernel, stride=stride,
        act="relu",
    )  # fmt: skip


def _uib(
    inputs: int, outputs: int, expansion: int, *, kind: str = NAME, kernel: int = 3, stride: int = 1
) -> Block:
    return Block(
        kind=kind, in_channels=inputs, out_channels=outputs, hidden_channels=inputs * expansion,
        kernel=kernel, stride=stride, act="relu",
    )  # fmt: skip
