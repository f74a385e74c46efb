"""An inverted residual with a linear bottleneck (MobileNetV2)."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind, depthwise_conv, pointwise_conv, squeeze
from nas.network.layers import Layer, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block.

    If the hidden channels equal the input channels, there is no expansion layer.
    """
    expand: tuple[Layer, ...] = ()
    inner = shape
    if block.expands:
        layer = pointwise_conv("expand", shape, block.hidden_channels, block.act)
        expand, inner = (layer,), layer.out_shape
    middle = depthwise_conv(block, inner)
    project = pointwise_conv("project", middle.out_shape, block.out_channels, "none")
    return (*expand, middle, *squeeze(block, middle.out_shape), project)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, choices=("expansion", "kernel", "se", "act", "skip"))
