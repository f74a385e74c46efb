"""A slice of the channels, starting at `first_channel`."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Layer, Shape, Split


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    part = (block.out_channels, *shape[1:])
    return (Split(name="split", in_shape=shape, out_shape=part, first=block.first_channel),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
