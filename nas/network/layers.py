"""Units of layers with their shapes, to which blocks are lowered.

Everything that depends on what a block consists of (cost, latency, the torch model, the ONNX graph)
reads these.
"""

from dataclasses import dataclass, field

from nas.network.blocks import NORM_EPSILON, Block

Shape = tuple[int, int, int]
"""Channels, height, width."""

KINDS_WITHOUT_KERNEL = ("pool", "linear", "concat", "add", "split", "shuffle")
KINDS_WITHOUT_HIDDEN = (
    "conv", "separable", "pool", "linear", "depthwise", "predict", "concat", "add", "upsample",
    "maxpool", "split", "shuffle",
)  # fmt: skip
KINDS_WITHOUT_ACT = ("pool", "concat", "upsample", "maxpool", "split", "shuffle", "predict")
"""Kinds whose keys omit kernel and stride, hidden channels, or activation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """A convolution without bias, batch normalisation, and an activation.

    The side of its output is that of its input divided by the stride, rounded up. `padding` and
    `epsilon` are those of the architecture. Without `norm` it has a bias instead of normalisation.
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
    norm: bool = True

    @property
    def pad(self) -> int:
        """The pixels that symmetric padding adds on each side."""
        return (self.kernel - 1) // 2

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved separately; only then may `groups` be an array."""
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
    """A fully connected layer with bias, followed by an activation."""

    name: str
    in_features: int
    out_features: int
    act: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """The concatenation of several maps of equal sides along the channels."""

    name: str
    in_shapes: tuple[Shape, ...]
    out_shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """The sum of several maps of equal shapes, followed by an activation."""

    name: str
    shape: Shape
    terms: int
    act: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample:
    """Nearest-neighbour upsampling: each pixel repeated `factor` times in both directions."""

    name: str
    in_shape: Shape
    out_shape: Shape
    factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool:
    """Max-pooling; padding is never the maximum. The output is as large as that of a `Conv`."""

    name: str
    in_shape: Shape
    out_shape: Shape
    kernel: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Some of the channels, starting at channel `first`."""

    name: str
    in_shape: Shape
    out_shape: Shape
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """The channels of two halves, interleaved (Zhang et al., 2018)."""

    name: str
    shape: Shape


Join = Concat | Add
"""Layers that read several maps; such a layer is the only one of its unit."""
Moving = Join | Upsample | MaxPool | Split | Shuffle
"""Layers that join, resize and split maps."""
Weightless = Pool | Moving
Layer = Conv | Squeeze | Linear | Weightless


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One lowered block: the smallest part of a network that has a latency of its own.

    `name` is its place in the architecture ("stages.2.0"); `shortcut` is "identity", "pool" or
    "none", by the rules of `Block.skip`. `inputs` are the names of the units that it reads, empty
    for the unit before it. If there are several, `in_shape` is the shape of their concatenation, or
    of one of them where they are added.
    """

    name: str = field(compare=False)
    block: Block
    in_shape: Shape
    out_shape: Shape
    layers: tuple[Layer, ...]
    shortcut: str
    inputs: tuple[str, ...] = field(default=(), compare=False)

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """The shape of each of its inputs."""
        match self.layers[0]:
            case Concat(in_shapes=shapes):
                return shapes
            case Add(shape=shape, terms=terms):
                return (shape,) * terms
        return (self.in_shape,)

    @property
    def key(self) -> str:
        """A readable key, equal for equal work: kind, shapes, and what differs from defaults."""
        texts = (w if isinstance(w, str) else "x".join(map(str, w)) for w in self.key_words)
        return " ".join(texts)

    @property
    def key_words(self) -> tuple[str | tuple[int, ...], ...]:
        """The words of `key`: texts, and tuples of numbers, which are joined by "x"."""
        block = self.block
        (c_in, h_in, w_in), (c_out, h_out, w_out) = self.in_shape, self.out_shape
        words: list[str | tuple[int, ...]] = [block.kind, (h_in, w_in, c_in), "->"]
        words += [(h_out, w_out, c_out)]
        if block.kind not in KINDS_WITHOUT_HIDDEN:
            words += ["hidden", (block.hidden_channels,)]
        words += [channels for shape in self.in_shapes[1:] for channels in ("and", shape[:1])]
        words += ["from", (block.first_channel,)] if block.kind == "split" else []
        if block.kind not in KINDS_WITHOUT_KERNEL:
            words += ["kernel", (block.kernel,), "stride", (block.stride,)]
        if block.squeezes:
            words += ["se", (block.se_channels,), block.se_act, block.gate]
        words += [block.act] if block.kind not in KINDS_WITHOUT_ACT else []
        words += [f"skip-{self.shortcut}"] if self.shortcut != "none" else []
        return tuple(words)
