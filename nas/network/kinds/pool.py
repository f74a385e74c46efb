"""Global average pooling; the result has height and width 1."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Layer, Pool, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    return (Pool(name="pool", in_shape=shape),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower)
