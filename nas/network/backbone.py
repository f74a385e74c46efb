"""Recover the backbone of a detector, and move weights between the two."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block, Blocks
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, weight_shapes


def backbone_of(arch: Architecture) -> Architecture:
    """Return the stem and the stages of a detector, with the last convolution that SSD reads.

    An expansion that the head reads, a separate block in the detector, is merged into its block.

    Raises:
        BadValue: if `arch` is not a detector.
    """
    if arch.detector is None:
        raise BadValue(f"{arch.name or 'the network'} is not a detector", "detector")
    stages = tuple(tuple(_merged(stage)) for stage in arch.stages)
    head = arch.head[:1] if arch.detector.coder == "ssd" and _goes_on(arch) else ()
    return replace(arch, stages=stages, head=head, detector=None)


def _goes_on(arch: Architecture) -> bool:
    """Return whether the first block of the head reads the last block of the stages."""
    return bool(arch.head) and not arch.head[0].inputs and arch.head[0].kind == "conv"


def _merged(stage: Blocks) -> Iterator[Block]:
    """Yield the blocks of a stage, each expansion merged into the block it belongs to."""
    followers = {i for i, (one, two) in enumerate(pairwise(stage), 1) if _are_one(one, two)}
    for number, block in enumerate(stage):
        if number + 1 in followers:
            continue
        if number in followers:
            block = replace(block, in_channels=stage[number - 1].in_channels)
        yield block


def _are_one(first: Block, second: Block) -> bool:
    return (
        (first.kind, first.kernel, first.stride, first.se_channels) == ("conv", 1, 1, 0)
        and second.kind == "mbconv"
        and second.stride > 1
        and not second.expands
        and first.act == second.act
    )


def from_detector(arch: Architecture, weights: Weights) -> dict[str, Array]:
    """Return the weights of `backbone_of(arch)` from the weights of the detector."""
    return {name: weights[theirs] for name, theirs in _names(arch)}


def into_detector(arch: Architecture, weights: Weights) -> dict[str, Array]:
    """Return weights of `backbone_of(arch)` under their names in the detector."""
    return {theirs: weights[name] for name, theirs in _names(arch)}


def _names(arch: Architecture) -> Iterator[tuple[str, str]]:
    """Yield each tensor's names in backbone and detector, in order of execution."""
    alone, whole = (weight_shapes(lower(one)) for one in (backbone_of(arch), arch))
    for (name, shape), (theirs, same) in zip(alone.items(), whole.items(), strict=False):
        assert shape == same, (name, theirs)
        yield name, theirs
