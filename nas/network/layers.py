"""Lower an architecture to units: layers with their shapes.

Everything that must know what a block is made of (cost, latency, the torch model, the ONNX graph)
reads the layers made here. A new kind of block is one function and one row in `BLOCKS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from nas.core.errors import BadValue, NasError, unknown
from nas.network.blocks import NORM_EPSILON, Architecture, Block, steps

Shape = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """A convolution without bias, batch normalisation, and an activation.

    Its output is as large as its input, divided by the stride and rounded up. `padding` and
    `epsilon` are those of the architecture.
    """

    name: str
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    act: str = "none"
    padding: str = "symmetric"
    epsilon: float = NORM_EPSILON

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved alone; only then may `groups` be an array."""
        return not isinstance(self.groups, int) or 1 < self.groups == self.in_shape[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeeze:
    """Squeeze-and-excitation (Hu et al., 2018): pool, two 1x1 convolutions with bias, a gate."""

    name: str
    shape: Shape
    channels: int
    act: str
    gate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Global average pooling to a vector."""

    name: str
    in_shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A fully connected layer with bias, and an activation."""

    name: str
    in_features: int
    out_features: int
    act: str = "none"


Layer = Conv | Squeeze | Pool | Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One lowered block: the smallest thing that has a latency of its own.

    `name` is its place in the architecture ("stages.2.0"); `shortcut` is "identity", "pool" or
    "none", after the rules of `Block.skip`.
    """

    name: str = field(compare=False)
    block: Block
    in_shape: Shape
    out_shape: Shape
    layers: tuple[Layer, ...]
    shortcut: str

    @property
    def key(self) -> str:
        """A readable key, equal for equal work: kind, shapes, and what differs from plain."""
        texts = (w if isinstance(w, str) else "x".join(map(str, w)) for w in self.key_words)
        return " ".join(texts)

    @property
    def key_words(self) -> tuple[str | tuple[int, ...], ...]:
        """The words of `key`: texts and numbers, several of which are joined by an "x"."""
        block = self.block
        (c_in, h_in, w_in), (c_out, h_out, w_out) = self.in_shape, self.out_shape
        words: list[str | tuple[int, ...]] = [block.kind, (h_in, w_in, c_in), "->"]
        words += [(h_out, w_out, c_out)]
        if block.kind == "mbconv":
            words += ["hidden", (block.hidden_channels,)]
        if block.kind not in ("pool", "linear"):
            words += ["kernel", (block.kernel,), "stride", (block.stride,)]
        if block.squeezes:
            words += ["se", (block.se_channels,), block.se_act, block.gate]
        words += [block.act] if block.kind != "pool" else []
        words += [f"skip-{self.shortcut}"] if self.shortcut != "none" else []
        return tuple(words)


def _pointwise(name: str, shape: Shape, out_channels: int, act: str) -> Conv:
    return Conv(name=name, in_shape=shape, out_shape=(out_channels, *shape[1:]), act=act)


def _spatial(name: str, block: Block, shape: Shape, out_channels: int, groups: int) -> Conv:
    """Return a convolution with the kernel and the stride of its block."""
    stride = block.stride
    return Conv(
        name=name,
        in_shape=shape,
        out_shape=(out_channels, -(-shape[1] // stride), -(-shape[2] // stride)),
        kernel=block.kernel,
        stride=stride,
        groups=groups,
        act=block.act,
    )


def _depthwise(block: Block, shape: Shape) -> Conv:
    return _spatial("depthwise", block, shape, shape[0], groups=shape[0])


def _squeeze(block: Block, shape: Shape) -> tuple[Layer, ...]:
    if not block.squeezes:
        return ()
    return (
        Squeeze(
            name="squeeze",
            shape=shape,
            channels=block.se_channels,
            act=block.se_act,
            gate=block.gate,
        ),
    )


def conv(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Lower a plain convolution: convolution, normalisation, activation, and SE if asked for."""
    first = _spatial("conv", block, shape, block.out_channels, groups=1)
    return (first, *_squeeze(block, first.out_shape))


def separable(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Lower a depthwise-separable convolution, both parts activated (MobileNetV1)."""
    depthwise = _depthwise(block, shape)
    pointwise = _pointwise("pointwise", depthwise.out_shape, block.out_channels, block.act)
    return (depthwise, *_squeeze(block, depthwise.out_shape), pointwise)


def mbconv(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Lower an inverted residual with a linear bottleneck (MobileNetV2).

    Where the hidden channels equal the input channels there is no expansion layer.
    """
    expand: tuple[Layer, ...] = ()
    inner = shape
    if block.expands:
        layer = _pointwise("expand", shape, block.hidden_channels, block.act)
        expand, inner = (layer,), layer.out_shape
    depthwise = _depthwise(block, inner)
    project = _pointwise("project", depthwise.out_shape, block.out_channels, "none")
    return (*expand, depthwise, *_squeeze(block, depthwise.out_shape), project)


def pool(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Lower global average pooling; the result has height and width 1."""
    return (Pool(name="pool", in_shape=shape),)


def linear(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Lower a fully connected layer; it must stand after the pooling."""
    return (
        Linear(
            name="linear",
            in_features=block.in_channels,
            out_features=block.out_channels,
            act=block.act,
        ),
    )


BLOCKS: Mapping[str, Callable[[Block, Shape], tuple[Layer, ...]]] = {
    "conv": conv,
    "separable": separable,
    "mbconv": mbconv,
    "pool": pool,
    "linear": linear,
}
"""From the kind of a block to the function that lowers it."""

RESIDUAL_KINDS = ("mbconv",)


def out_shape(layers: tuple[Layer, ...]) -> Shape:
    """Return the shape that the last of `layers` gives."""
    match layers[-1]:
        case Conv(out_shape=shape) | Squeeze(shape=shape):
            return shape
        case Pool(in_shape=(channels, _, _)):
            return (channels, 1, 1)
        case Linear(out_features=features):
            return (features, 1, 1)


def shortcut(block: Block) -> str:
    """Return the shortcut that `block` has: "identity", "pool" or "none"."""
    joins = block.kind in RESIDUAL_KINDS and block.keeps_channels
    if not joins or (block.skip == "identity" and block.stride != 1):
        return "none"
    return block.skip


def lower_block(block: Block, in_shape: Shape, *, name: str = "") -> Unit:
    """Return the unit that `block` becomes on an input of `in_shape`.

    Raises:
        NasError: if the kind is unknown or the block does not fit the shape.
    """
    return _lowered(block, in_shape, name)


@lru_cache(maxsize=1 << 13)
def _lowered(block: Block, in_shape: Shape, name: str) -> Unit:
    if block.kind not in BLOCKS:
        raise unknown("block kind", block.kind, BLOCKS)
    if block.kind == "mbconv" and not block.hidden_channels:
        raise NasError("an mbconv block needs hidden_channels")
    if block.kind == "linear" and in_shape[1:] != (1, 1):
        raise NasError("a linear block must stand after a pool block")
    layers = BLOCKS[block.kind](block, in_shape)
    result = out_shape(layers)
    if (block.in_channels, block.out_channels) != (in_shape[0], result[0]):
        raise NasError(
            f"the {block.kind} block says {block.in_channels} -> {block.out_channels} "
            f"channels, but maps {in_shape[0]} to {result[0]}"
        )
    return Unit(
        name=name,
        block=block,
        in_shape=in_shape,
        out_shape=result,
        layers=layers,
        shortcut=shortcut(block),
    )


def takes_any_size(units: Sequence[Unit]) -> bool:
    """Tell whether units take maps of any height and width: they pool before any linear layer."""
    layers = (layer for unit in units for layer in unit.layers)
    first = next((layer for layer in layers if isinstance(layer, Pool | Linear)), None)
    return isinstance(first, Pool)


def lower_chain(blocks: Sequence[Block], in_shape: Shape) -> tuple[Unit, ...]:
    """Return the units of consecutive blocks, named "0", "1", ..., on an input of `in_shape`.

    Raises:
        NasError: if a kind is unknown or a block does not fit.
    """
    units: list[Unit] = []
    for block in blocks:
        shape = units[-1].out_shape if units else in_shape
        units.append(lower_block(block, shape, name=str(len(units))))
    return tuple(units)


def lower(arch: Architecture) -> tuple[Unit, ...]:
    """Return the units of `arch` in the order of the forward pass, batch size 1.

    Raises:
        BadValue: if a block is of an unknown kind or does not fit; it names the block.
    """
    shape: Shape = (arch.input_channels, arch.resolution, arch.resolution)
    units = []
    for name, block in arch.named_blocks():
        try:
            unit = lower_block(block, shape, name=name)
        except NasError as error:
            raise BadValue(f"{name}: {error}", *steps(name)) from None
        units.append(_by_conventions(unit, arch))
        shape = unit.out_shape
    return tuple(units)


def _by_conventions(unit: Unit, arch: Architecture) -> Unit:
    """Return `unit` with the padding and the epsilon of `arch`, itself where they are usual."""
    if (arch.padding, arch.norm_epsilon) == ("symmetric", NORM_EPSILON):
        return unit
    layers = (
        replace(layer, padding=arch.padding, epsilon=arch.norm_epsilon)
        if isinstance(layer, Conv)
        else layer
        for layer in unit.layers
    )
    return replace(unit, layers=tuple(layers))
