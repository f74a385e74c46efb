"""torchvision's names, which differ by family: features.3.block.0.0, layers.8.1.layers.3.

A stage there is a stage here, or the rest of the stem after its first convolution, and every block
of a stage is an mbconv.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nas.core.errors import BadValue, unknown
from nas.network.blocks import Architecture
from nas.network.layers import Squeeze, Unit
from nas.network.naming.tensors import (
    Modules,
    Named,
    Names,
    is_plain,
    named_tensors,
    no_place,
    parts,
)

_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """How one family names its modules.

    `place` gives the module of block k of stage s, the n-th block in all (s and n from 1, k from
    0). `conv` gives the convolution and normalisation that are layer k of the block at a place; its
    third argument is True for the one without activation. `head` gives the convolution before the
    pooling, after s stages with n blocks in all; `linear` are the layers after the pooling.
    """

    stem: _Pair = ("features.0.0", "features.0.1")
    place: Callable[[int, int, int], str]
    conv: Callable[[str, int, bool], _Pair]
    squeezes: bool = False
    head: Callable[[int, int], _Pair]
    linear: tuple[str, ...] = ("classifier.1",)


def _inside(place: str) -> _Pair:
    return f"{place}.0", f"{place}.1"


def _beside(place: str, first: int) -> _Pair:
    return f"{place}.{first}", f"{place}.{first + 1}"


_FAMILIES: Mapping[str, _Family] = {
    "mobilenet_v2": _Family(
        place=lambda s, k, n: f"features.{n}.conv",
        conv=lambda place, k, last: _beside(place, k) if last else _inside(f"{place}.{k}"),
        head=lambda s, n: _inside(f"features.{n + 1}"),
    ),
    "mobilenet_v3": _Family(
        place=lambda s, k, n: f"features.{n}.block",
        conv=lambda place, k, last: _inside(f"{place}.{k}"),
        squeezes=True,
        head=lambda s, n: _inside(f"features.{n + 1}"),
        linear=("classifier.0", "classifier.3"),
    ),
    "efficientnet": _Family(
        place=lambda s, k, n: f"features.{s}.{k}.block",
        conv=lambda place, k, last: _inside(f"{place}.{k}"),
        squeezes=True,
        head=lambda s, n: _inside(f"features.{s + 1}"),
    ),
    "mnasnet": _Family(
        stem=("layers.0", "layers.1"),
        place=lambda s, k, n: "layers" if s == 1 else f"layers.{s + 6}.{k}.layers",
        # an activation follows every pair; the first stage's only block has no module of its own
        conv=lambda place, k, last: _beside(place, 3 * k + 3 * (place == "layers")),
        head=lambda s, n: _beside("layers", s + 7),
    ),
}
FAMILIES = tuple(_FAMILIES)


def family_of(arch: Architecture) -> str:
    """Return the family of `arch`, judged by its head, squeeze-and-excitation and activation."""
    if sum(block.kind == "linear" for block in arch.head) == 2:
        return "mobilenet_v3"
    if any(block.squeezes for stage in arch.stages for block in stage):
        return "efficientnet"
    return "mobilenet_v2" if any(block.act == "relu6" for block in arch.stem) else "mnasnet"


def torchvision_names(arch: Architecture, family: str = "") -> Names:
    """Return torchvision's names for the tensors of `arch`; `family` is `family_of` by default.

    Raises:
        BadValue: if a block has no place there; it names the block.
        UnknownName: if there is no such family.
    """
    family = family or family_of(arch)
    if family not in _FAMILIES:
        raise unknown("family of torchvision", family, FAMILIES)
    names: dict[str, Named] = {}
    for unit, modules in _modules(arch, family):
        names |= named_tensors(unit, modules)
    return names


def _modules(arch: Architecture, name: str) -> Iterator[tuple[Unit, Modules]]:
    """Yield every unit with its modules."""
    family, (stem, stages, head) = _FAMILIES[name], parts(arch)
    yield stem, {"conv": family.stem}
    n = 0
    for s, stage in enumerate(stages, start=1):
        for k, unit in enumerate(stage):
            n += 1
            _check_block(unit, name, first=s == 1, alone=len(stage) == 1)
            yield unit, _block_modules(unit, family, family.place(s, k, n))
    yield from _head(head, name, family.head(len(stages), n))


def _check_block(unit: Unit, name: str, *, first: bool, alone: bool) -> None:
    """Reject a block that `name` has no place for; MnasNet's first stage has one fixed block."""
    block = unit.block
    if block.kind != "mbconv":
        no_place(unit, f"torchvision's {name}", f"has no {block.kind} blocks in its stages")
    if block.squeezes and not _FAMILIES[name].squeezes:
        no_place(unit, f"torchvision's {name}", "has no squeeze-and-excitation")
    if name == "mnasnet" and first and (block.expands or not alone):
        no_place(unit, "torchvision's mnasnet", "has one block without expansion as first stage")


def _block_modules(unit: Unit, family: _Family, place: str) -> Modules:
    last = len(unit.layers) - 1
    return {
        layer.name: (f"{place}.{k}.fc1", f"{place}.{k}.fc2")
        if isinstance(layer, Squeeze)
        else family.conv(place, k, k == last)
        for k, layer in enumerate(unit.layers)
    }


def _head(head: Sequence[Unit], name: str, last: _Pair) -> Iterator[tuple[Unit, Modules]]:
    """Yield the units after the stages: a convolution, the pooling, and linear layers."""
    linear = _FAMILIES[name].linear
    kinds = [unit.block.kind for unit in head]
    if kinds != ["conv", "pool", *("linear" for _ in linear)] or not is_plain(head[0]):
        wanted = f"ends in a convolution, a pooling and linear layers ({len(linear)})"
        raise BadValue(f"head: torchvision's {name} {wanted}, not in {', '.join(kinds)}", "head")
    yield head[0], {"conv": last}
    for unit, module in zip(head[2:], linear, strict=True):
        yield unit, {"linear": (module,)}
