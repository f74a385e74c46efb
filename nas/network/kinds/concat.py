"""The concatenation of the channels of maps."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Concat, Layer, Shape


def lower(block: Block, *shapes: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    joined = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    return (Concat(name="concat", in_shapes=shapes, out_shape=joined),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
