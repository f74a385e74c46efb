"""Max-pooling, with the kernel and the stride of the block."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Layer, MaxPool, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    kernel, stride = block.kernel, block.stride
    smaller = (shape[0], -(-shape[1] // stride), -(-shape[2] // stride))
    layer = MaxPool(name="maxpool", in_shape=shape, out_shape=smaller, kernel=kernel, stride=stride)
    return (layer,)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
