"""The channel shuffle of ShuffleNet, of two groups."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Layer, Shape, Shuffle


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    return (Shuffle(name="shuffle", shape=shape),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
