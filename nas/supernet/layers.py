"""The layers that the networks of a space share, each as large as any of them needs.

A layer is known by its place in the network, the kind of its block and its name, as in
"stages.2.0.mbconv.expand": blocks of different kinds share nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from nas.network.blocks import Blocks
from nas.network.layers import Conv, Layer, Linear, Shape, Squeeze, Unit
from nas.network.lowering import lower_block
from nas.network.weights import join
from nas.space.rows import Column, Value
from nas.space.space import Space

Weighted = Conv | Squeeze | Linear
"""Layers with weights, in the networks of spaces."""
SIDE = 64
"""Pixels of the maps that the layers are lowered on; their weights do not depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A layer with the most channels and the largest kernel that a network has there.

    `kernels` are those of all networks, from the largest to the smallest; () without any.
    """

    layer: Weighted
    kernels: tuple[int, ...] = ()


def key_of(unit: Unit, layer: Layer) -> str:
    """Return the name of the shared layer that `layer` of `unit` is a part of.

    The last linear layer of a head, which has no activation, shares nothing with hidden ones.
    """
    last = isinstance(layer, Linear) and layer.act == "none"
    return join(unit.name, unit.block.kind, "classes" if last else layer.name)


def shared_layers(space: Space, classes: int) -> Mapping[str, Shared]:
    """Return all shared layers of the networks of `space` for so many `classes`, by their names."""
    found: dict[str, Shared] = {}
    for unit in _units(space, classes):
        for layer in unit.layers:
            if isinstance(layer, Conv | Squeeze | Linear):
                key = key_of(unit, layer)
                found[key] = _joined(found.get(key), layer)
    return found


def largest_values(columns: Iterable[Column]) -> dict[str, Value]:
    """Return the largest value of every choice of numbers; others are left out."""
    return {
        c.name: max(c.values)
        for c in columns
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in c.values)
    }


def _units(space: Space, classes: int) -> Iterator[Unit]:
    """Yield units that together have the largest sizes of every shared layer, and all kernels."""
    most = largest_values(space.columns)
    shape: Shape = (space.input_channels, SIDE, SIDE)
    for act in space.acts or ("relu",):
        for values in _each(space, most | {"act": act}, lambda c: c.name.startswith("stem")):
            yield from _chain("stem", space.stem_blocks(values), shape)
    channels = space.stem_blocks(most)[-1].out_channels
    for stage, row in enumerate(space.stages):
        given = channels
        for layer in range(row.max_layers):
            for values in _choices_of_layer(space, stage, layer, most):
                block = space.layer_block(stage, layer, values, given)
                yield lower_block(block, (given, SIDE, SIDE), name=f"stages.{stage}.{layer}")
                out = block.out_channels
            given = out
        channels = max(channels, given) if 0 in row.options["layers"] else given
    for head, act in product(space.heads, space.acts or ("relu",)):
        blocks = space.head_blocks({"head": head, "act": act}, channels)
        blocks = (*blocks[:-1], replace(blocks[-1], out_channels=classes))
        yield from _chain("head", blocks, (channels, SIDE, SIDE))


def _choices_of_layer(
    space: Space, stage: int, layer: int, most: Mapping[str, Value]
) -> Iterator[Mapping[str, Value]]:
    """Yield the picks of one layer of a stage, but for those whose largest value has all others."""
    columns = [
        c
        for c in space.columns
        if c.stage == stage and c.layer in (None, layer) and c.field not in ("width", "layers")
    ]
    for values in product(*(c.values for c in columns)):
        yield {**most, **{c.name: v for c, v in zip(columns, values, strict=True)}}


def _each(
    space: Space, most: Mapping[str, Value], wanted: Callable[[Column], bool]
) -> Iterator[Mapping[str, Value]]:
    """Yield the largest values, and each value of one `wanted` choice beside the others'."""
    yield most
    for column in filter(wanted, space.columns):
        for value in column.values:
            yield {**most, column.name: value}


def _chain(place: str, blocks: Blocks, shape: Shape) -> Iterator[Unit]:
    for number, block in enumerate(blocks):
        unit = lower_block(block, shape, name=f"{place}.{number}")
        yield unit
        shape = unit.out_shape


def _joined(known: Shared | None, layer: Weighted) -> Shared:
    """Return a shared layer that has room for one more."""
    kernels = (layer.kernel,) if isinstance(layer, Conv) else ()
    if known is None:
        return Shared(layer=layer, kernels=kernels)
    kernels = tuple(sorted({*known.kernels, *kernels}, reverse=True))
    return Shared(layer=_larger(known.layer, layer), kernels=kernels)


def _larger(one: Weighted, other: Weighted) -> Weighted:
    """Return a layer with the larger sizes of two."""
    match one, other:
        case Conv(), Conv():
            inputs, outputs = max(one.in_shape, other.in_shape), max(one.out_shape, other.out_shape)
            return replace(
                one,
                in_shape=inputs,
                out_shape=outputs,
                kernel=max(one.kernel, other.kernel),
                groups=inputs[0] if one.depthwise or other.depthwise else 1,
            )
        case Squeeze(), Squeeze():
            shape, channels = max(one.shape, other.shape), max(one.channels, other.channels)
            return replace(one, shape=shape, channels=channels)
        case Linear(), Linear():
            return replace(
                one,
                in_features=max(one.in_features, other.in_features),
                out_features=max(one.out_features, other.out_features),
            )
    raise AssertionError(f"{one.name} and {other.name} are layers of two types")
