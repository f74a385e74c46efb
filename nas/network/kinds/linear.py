"""A fully connected layer; it must follow the pooling."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Layer, Linear, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    return (
        Linear(
            name="linear",
            in_features=block.in_channels,
            out_features=block.out_channels,
            act=block.act,
        ),
    )


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower)
