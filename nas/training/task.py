"""Make an architecture fit a task, and check its resolution."""

from dataclasses import replace

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Blocks
from nas.network.detector import Detector
from nas.network.layers import Conv
from nas.network.lowering import lower


def for_classes(arch: Architecture, classes: int) -> Architecture:
    """Return `arch` with outputs for so many `classes`: of its last linear layer, or its detector.

    Raises:
        BadValue: if a classifier's last block is not linear, or it has fewer than two classes.
    """
    if arch.detector is not None:
        return _detector_for(arch, arch.detector, classes)
    if not arch.head or arch.head[-1].kind != "linear":
        found = arch.named_blocks()[-1][1].kind
        raise BadValue(f"a classifier ends in a linear block, not in {found}", "head")
    if classes < 2:
        raise BadValue(f"a classifier needs 2 classes or more, not {classes}", "head")
    last = replace(arch.head[-1], out_channels=classes)
    return replace(arch, head=(*arch.head[:-1], last))


def _detector_for(arch: Architecture, detector: Detector, classes: int) -> Architecture:
    detector = replace(detector, classes=classes)
    wanted = detector.outputs

    def part(prefix: str, blocks: Blocks) -> Blocks:
        places = [(f"{prefix}.{i}", block) for i, block in enumerate(blocks)]
        return tuple(replace(b, out_channels=wanted.get(at, b.out_channels)) for at, b in places)

    return replace(
        arch,
        stem=part("stem", arch.stem),
        stages=tuple(part(f"stages.{i}", stage) for i, stage in enumerate(arch.stages)),
        head=part("head", arch.head),
        detector=detector,
    )


def class_units(arch: Architecture) -> tuple[str, ...]:
    """Return the names of the units whose outputs are classes."""
    if arch.detector is not None:
        return tuple(level.classes for level in arch.detector.levels)
    return (lower(arch)[-1].name,)


def check_resolution(arch: Architecture) -> None:
    """Refuse a resolution at which a layer with a stride reads maps of a single pixel.

    Raises:
        BadValue: it names the block, and the least resolution that is enough.
    """
    for unit in lower(arch):
        if arch.detector is not None and unit.name.startswith("head."):
            return  # the last maps of an SSD may well be of one pixel
        for layer in unit.layers:
            if isinstance(layer, Conv) and layer.stride > 1 and layer.in_shape[1] == 1:
                raise BadValue(
                    f"a resolution of {arch.resolution} is too small: at {unit.name} the maps are "
                    f"1x1 already, and it has a stride of {layer.stride}; "
                    f"use {least_resolution(arch)} or more",
                    "resolution",
                )


def check_batch(arch: Architecture, images: int) -> None:
    """Refuse training with batches of one image where a map has a single pixel.

    Batch normalisation then has one value per channel, without a variance. `images` is the size of
    the smallest batch, or of a worker's share of it.

    Raises:
        BadValue: it names the block, and what to change.
    """
    block = None if images > 1 else _single_pixel(arch)
    if block is None:
        return
    enough = least_resolution(arch, last=2)
    helps = arch.detector is None and _single_pixel(replace(arch, resolution=enough)) is None
    more = f", or a resolution of {enough} or more" if helps else ""
    raise BadValue(
        f"{arch.name or 'the network'} cannot train on one image at a time at a resolution of "
        f"{arch.resolution}: at {block} the maps are 1x1, which leaves batch normalisation one "
        f"value per channel; use batches of 2 images or more (for every worker){more}",
        "batch",
    )


def _single_pixel(arch: Architecture) -> str | None:
    """Return the first unit that normalises maps of a single pixel."""
    for unit in lower(arch):
        if any(isinstance(layer, Conv) and layer.out_shape[1] == 1 for layer in unit.layers):
            return unit.name
    return None


def least_resolution(arch: Architecture, *, last: int = 1) -> int:
    """Return the least resolution whose last maps have `last` pixels to a side, all others 2."""
    strides = [
        layer.stride
        for unit in lower(arch)
        for layer in unit.layers
        if isinstance(layer, Conv) and layer.stride > 1
    ]
    least = last
    for stride in reversed(strides):
        least = max(2, (least - 1) * stride + 1)
    return least
