"""Make an architecture fit a task: its number of classes, its resolution."""

from dataclasses import replace

from nas.arch import Architecture
from nas.errors import BadValue
from nas.layers import Conv, lower


def for_classes(arch: Architecture, classes: int) -> Architecture:
    """Return `arch` with a last linear layer of `classes` outputs.

    Raises:
        BadValue: if its last block is not linear, or there are fewer than two classes.
    """
    if not arch.head or arch.head[-1].kind != "linear":
        found = arch.named_blocks()[-1][1].kind
        raise BadValue(f"a classifier ends in a linear block, not in {found}", "head")
    if classes < 2:
        raise BadValue(f"a classifier needs 2 classes or more, not {classes}", "head")
    last = replace(arch.head[-1], out_channels=classes)
    return replace(arch, head=(*arch.head[:-1], last))


def check_resolution(arch: Architecture) -> None:
    """Refuse a resolution at which a layer with a stride has a single pixel left to stride over.

    Raises:
        BadValue: it names the block, and the least resolution that is enough.
    """
    for unit in lower(arch):
        for layer in unit.layers:
            if isinstance(layer, Conv) and layer.stride > 1 and layer.in_shape[1] == 1:
                raise BadValue(
                    f"a resolution of {arch.resolution} is too small: at {unit.name} the maps are "
                    f"1x1 already, and it has a stride of {layer.stride}; "
                    f"use {least_resolution(arch)} or more",
                    "resolution",
                )


def least_resolution(arch: Architecture) -> int:
    """Return the least resolution at which every stride has more than one pixel before it."""
    strides = [
        layer.stride
        for unit in lower(arch)
        for layer in unit.layers
        if isinstance(layer, Conv) and layer.stride > 1
    ]
    least = 1
    for stride in reversed(strides):
        least = max(2, (least - 1) * stride + 1)
    return least
