"""Lower an architecture to a graph of units, in order of execution.

A new kind of block is one file; see `nas.network.kinds`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from nas.core.errors import BadValue, NasError, unknown
from nas.core.plugins import Plugin, available, create
from nas.network.blocks import IMAGE, NORM_EPSILON, Architecture, Block, steps
from nas.network.detector import MapSize, Priors, priors
from nas.network.kinds import CHOICES, EXPANDS, BlockKind
from nas.network.layers import (
    Add,
    Concat,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Pool,
    Shape,
    Shuffle,
    Split,
    Squeeze,
    Unit,
    Upsample,
)


def kinds_of_blocks() -> tuple[str, ...]:
    """Return the names of the installed kinds of blocks."""
    return tuple(available("blocks"))


@lru_cache(maxsize=1 << 10)
def kind_of(name: str) -> BlockKind:
    """Return a kind of block by its name, with options: "conv", "uib:start=3".

    Raises:
        NasError: if there is no such kind, or it has no such options.
    """
    made: BlockKind = create("blocks", Plugin.parse(name))
    if unread := [choice for choice in made.choices if choice not in CHOICES]:
        raise unknown(f"choice of block {name}", unread[0], CHOICES)
    return made


def out_shape(layers: tuple[Layer, ...]) -> Shape:
    """Return the output shape of the last of `layers`."""
    match layers[-1]:
        case Conv(out_shape=shape) | Concat(out_shape=shape) | Upsample(out_shape=shape):
            return shape
        case MaxPool(out_shape=shape) | Split(out_shape=shape):
            return shape
        case Squeeze(shape=shape) | Add(shape=shape) | Shuffle(shape=shape):
            return shape
        case Pool(in_shape=(channels, _, _)):
            return (channels, 1, 1)
        case Linear(out_features=features):
            return (features, 1, 1)


def shortcut(block: Block) -> str:
    """Return the shortcut that `block` actually has: "identity", "pool" or "none"."""
    joins = "skip" in kind_of(block.kind).choices and block.keeps_channels
    if not joins or (block.skip == "identity" and block.stride != 1):
        return "none"
    return block.skip


def lower_block(block: Block, *in_shapes: Shape, name: str = "") -> Unit:
    """Return the unit of `block` for inputs of `in_shapes`; only joining kinds have several.

    Raises:
        NasError: if the kind is unknown or the block does not fit the shapes.
    """
    return _lowered(block, in_shapes, name)


@lru_cache(maxsize=1 << 13)
def _lowered(block: Block, in_shapes: tuple[Shape, ...], name: str) -> Unit:
    _check_fits(block, in_shapes)
    layers = kind_of(block.kind).lower(block, *in_shapes)
    in_shape, result = _joined(block, in_shapes), out_shape(layers)
    if (block.in_channels, block.out_channels) != (in_shape[0], result[0]):
        raise NasError(
            f"the {block.kind} block declares {block.in_channels} -> {block.out_channels} "
            f"channels, but maps {in_shape[0]} to {result[0]}"
        )
    return Unit(
        name=name,
        block=replace(block, inputs=()) if block.inputs else block,
        in_shape=in_shape,
        out_shape=result,
        layers=layers,
        shortcut=shortcut(block),
        inputs=block.inputs,
    )


def _joined(block: Block, in_shapes: tuple[Shape, ...]) -> Shape:
    channels = sum(shape[0] for shape in in_shapes) if block.kind == "concat" else in_shapes[0][0]
    return (channels, *in_shapes[0][1:])


def _check_fits(block: Block, in_shapes: tuple[Shape, ...]) -> None:
    """Reject a block that its kind cannot lower for these shapes."""
    if EXPANDS in kind_of(block.kind).choices and not block.hidden_channels:
        raise NasError(f"the {block.kind} block needs hidden_channels")
    if block.kind == "linear" and in_shapes[0][1:] != (1, 1):
        raise NasError("a linear block must stand after a pool block")
    if len({shape[1:] for shape in in_shapes}) > 1:
        sides = ", ".join(f"{height}x{width}" for _, height, width in in_shapes)
        raise NasError(
            f"the {block.kind} block reads maps of different sides, {sides}; choose a resolution "
            "that the strides divide"
        )
    if block.kind == "split" and block.first_channel + block.out_channels > block.in_channels:
        raise NasError(
            f"the split block takes channels {block.first_channel} to "
            f"{block.first_channel + block.out_channels - 1}, but reads {block.in_channels}"
        )
    if block.kind == "shuffle" and block.in_channels % 2:
        raise NasError(
            f"the shuffle block needs an even number of channels, not {block.in_channels}"
        )
    _check_even(block, in_shapes[0][1])


def _check_even(block: Block, side: int) -> None:
    """Reject an even kernel where equal padding would change the size of the output."""
    stride = block.stride
    if block.kernel % 2 == 0 and (side - 2) // stride + 1 != -(-side // stride):
        raise NasError(
            f"a kernel of {block.kernel} with stride {stride} does not fit maps of {side}"
        )


def takes_any_size(units: Sequence[Unit]) -> bool:
    """Return whether units accept maps of any size: they pool before any linear layer."""
    layers = (layer for unit in units for layer in unit.layers)
    first = next((layer for layer in layers if isinstance(layer, Pool | Linear)), None)
    return isinstance(first, Pool)


def lower_chain(blocks: Sequence[Block], in_shape: Shape, *more: Shape) -> tuple[Unit, ...]:
    """Return the units of blocks, named "0", "1", ..., for an input of `in_shape`.

    Each block reads the one before it, unless it names its inputs. `more` are the shapes of
    "image.1" and so on.

    Raises:
        NasError: if a kind is unknown, or a block does not fit or reads a later one.
    """
    shapes = {IMAGE: in_shape} | {f"{IMAGE}.{i}": shape for i, shape in enumerate(more, 1)}
    units: list[Unit] = []
    for number, block in enumerate(blocks):
        names = block.inputs or (units[-1].name if units else IMAGE,)
        if unmade := [name for name in names if name not in shapes]:
            raise NasError(f"block {number} reads {unmade[0]!r}, which is not a block before it")
        units.append(lower_block(block, *(shapes[name] for name in names), name=str(number)))
        shapes[str(number)] = units[-1].out_shape
    return tuple(units)


def inputs_of(units: Sequence[Unit]) -> dict[str, Shape]:
    """Return the names and shapes of the inputs that no unit provides, the image first.

    There are several only for a single unit that joins several maps.
    """
    made: set[str] = set()
    found: dict[str, Shape] = {}
    for unit, names in sources(units):
        shapes = zip(names, unit.in_shapes, strict=True)
        found |= {name: shape for name, shape in shapes if name not in made}
        made.add(unit.name)
    return found


def alone(unit: Unit) -> Unit:
    """Return `unit` reading the image; further maps are called "image.1" and so on."""
    count = len(unit.in_shapes)
    names = tuple(f"{IMAGE}.{number}" if number else IMAGE for number in range(count))
    return replace(unit, inputs=names if count > 1 else ())


def ends(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Return the units that no other unit reads."""
    read = {name for _, names in sources(units) for name in names}
    return tuple(unit for unit in units if unit.name not in read)


def lower(arch: Architecture) -> tuple[Unit, ...]:
    """Return the units of `arch` in the order of the forward pass, for batch size 1.

    Raises:
        BadValue: if a block is of an unknown kind or does not fit; it names the block.
    """
    image = (arch.input_channels, arch.resolution, arch.resolution)
    shapes: dict[str, Shape] = {IMAGE: image}
    units, before = [], IMAGE
    for name, block in arch.named_blocks():
        in_shapes = [shapes[source] for source in block.inputs or (before,)]
        try:
            unit = lower_block(block, *in_shapes, name=name)
        except NasError as error:
            raise BadValue(f"{name}: {error}", *steps(name)) from None
        units.append(_by_conventions(unit, arch))
        shapes[name], before = unit.out_shape, name
    return tuple(units)


def sources(units: Sequence[Unit]) -> Iterator[tuple[Unit, tuple[str, ...]]]:
    """Yield every unit with the names of its inputs; the first unit reads `IMAGE`."""
    before = IMAGE
    for unit in units:
        yield unit, unit.inputs or (before,)
        before = unit.name


def priors_of(arch: Architecture) -> Priors:
    """Return the priors of a detector's predictions, in the order of its outputs.

    Raises:
        BadValue: if `arch` is not a detector.
    """
    if arch.detector is None:
        raise BadValue(f"{arch.name or 'the network'} is not a detector", "detector")
    grids: dict[str, MapSize] = {unit.name: unit.out_shape[1:] for unit in lower(arch)}
    at = [grids[level.classes] for level in arch.detector.levels]
    return priors(arch.detector, at, arch.resolution)


def _by_conventions(unit: Unit, arch: Architecture) -> Unit:
    """Return `unit` with the padding and epsilon of `arch`; unchanged if they are defaults."""
    if (arch.padding, arch.norm_epsilon) == ("symmetric", NORM_EPSILON):
        return unit
    layers = (
        replace(layer, padding=arch.padding, epsilon=arch.norm_epsilon)
        if isinstance(layer, Conv)
        else layer
        for layer in unit.layers
    )
    return replace(unit, layers=tuple(layers))
