"""The sum of maps."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Add, Layer, Shape


def lower(block: Block, *shapes: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    return (Add(name="add", shape=shapes[0], terms=len(shapes), act=block.act),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
