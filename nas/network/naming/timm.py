"""timm's names: conv_stem, blocks.S.B.conv_dw, conv_head, classifier.

A stage there is a stage here, or the rest of the stem after its first convolution. If the head has
a linear layer before the classifier, as in MobileNetV3, that layer is `conv_head`, a convolution
with bias after the pooling, and the convolution before the pooling is a stage of its own. Otherwise
the convolution before the pooling is `conv_head`.
"""

from collections.abc import Mapping
from dataclasses import replace

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.naming.tensors import (
    Modules,
    Named,
    Names,
    Stages,
    is_plain,
    named_tensors,
    no_place,
    parts,
)
from nas.network.weights import weight_shapes

_SQUEEZE = ("se.conv_reduce", "se.conv_expand")
_MODULES: Mapping[str, Modules] = {
    "cn": {"conv": ("conv", "bn1")},
    "ds": {
        "depthwise": ("conv_dw", "bn1"),
        "squeeze": _SQUEEZE,
        "pointwise": ("conv_pw", "bn2"),
        "project": ("conv_pw", "bn2"),
    },
    "ir": {
        "expand": ("conv_pw", "bn1"),
        "depthwise": ("conv_dw", "bn2"),
        "squeeze": _SQUEEZE,
        "project": ("conv_pwl", "bn3"),
    },
}
"""The modules of timm's blocks by type; "dsa" has those of "ds"."""


def block_type(block: Block) -> str:
    """Return the type of `block` in timm's strings, "" if its stages have no such block."""
    if block.kind == "mbconv":
        return "ir" if block.expands else "ds"
    if block.kind == "conv" and not block.squeezes:
        return "cn"
    return "dsa" if block.kind == "separable" else ""


def stages(arch: Architecture) -> Stages:
    """Return the units of `arch` that are in timm's `blocks`, stage by stage.

    Raises:
        BadValue: if timm has no such stem or head.
    """
    _, body, _ = _parts(arch)
    return body


def timm_names(arch: Architecture) -> Names:
    """Return timm's names for the tensors of `arch`.

    Raises:
        BadValue: if a block has no place in timm's networks; it names the block.
    """
    stem, body, head = _parts(arch)
    names = named_tensors(stem, {"conv": ("conv_stem", "bn1")})
    for s, stage in enumerate(body):
        for b, unit in enumerate(stage):
            names |= _block_names(unit, f"blocks.{s}.{b}")
    for unit, modules in head:
        names |= named_tensors(unit, modules, as_conv="conv_head" in modules.get("linear", ()))
    return names


def split_names(arch: Architecture) -> Names:
    """Return timm's names for the tensors of `arch` if every stride begins a stage.

    Raises:
        BadValue: as `timm_names` does.
    """
    theirs = timm_names(split_at_strides(arch)).values()
    return dict(zip(weight_shapes(lower(arch)), theirs, strict=True))


def split_at_strides(arch: Architecture) -> Architecture:
    """Return `arch` with a new stage at every stride; in timm only first blocks have strides."""
    stages: list[list[Block]] = []
    for blocks in (arch.stem[1:], *arch.stages):
        for i, block in enumerate(blocks):
            if i == 0 or block.stride > 1:
                stages.append([])
            stages[-1].append(block)
    return replace(arch, stem=arch.stem[:1], stages=tuple(map(tuple, stages)))


def _block_names(unit: Unit, place: str) -> dict[str, Named]:
    kind = block_type(unit.block)
    if not kind:
        no_place(unit, "timm", f"has no {unit.block.kind} block of this form in its stages")
    modules = _MODULES[kind[:2]]
    return named_tensors(
        unit, {k: tuple(f"{place}.{m}" for m in found) for k, found in modules.items()}
    )


_Head = tuple[tuple[Unit, Modules], ...]


def _parts(arch: Architecture) -> tuple[Unit, Stages, _Head]:
    """Return the stem's convolution, the units of `blocks`, and the head with its modules."""
    stem, body, end = parts(arch)
    before, head = _head(list(end))
    return stem, (*body, before) if before else body, head


def _head(head: list[Unit]) -> tuple[tuple[Unit, ...], _Head]:
    """Return the head's units that are in `blocks`, and the others with their modules."""
    kinds = [unit.block.kind for unit in head]
    pool = kinds.index("pool") if "pool" in kinds else len(kinds)
    before, linear = head[:pool], head[pool + 1 :]
    if kinds[pool + 1 :] not in (["linear"], ["linear", "linear"]):
        raise BadValue("head: a network of timm ends in a pooling and a classifier", "head")
    last: _Head = ((linear[-1], {"linear": ("classifier",)}),)
    if len(linear) == 2:
        last = ((linear[0], {"linear": ("conv_head",)}), *last)
    elif before and is_plain(before[-1]):
        last = ((before.pop(), {"conv": ("conv_head", "bn2")}), *last)
    return tuple(before), last
