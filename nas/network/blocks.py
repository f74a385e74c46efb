"""Architectures as plain data: blocks in a stem, stages and a head."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import pairwise
from typing import Any

from nas.core.errors import BadValue, NasError
from nas.core.plugins import check_named
from nas.core.schema import SCHEMA, Reader, check_keys, check_schema
from nas.core.text import shown
from nas.network.detector import Detector, plain_detector

ACTS = ("none", "relu", "relu6", "swish", "hswish", "sigmoid", "hsigmoid")
GATES = ("sigmoid", "hsigmoid")
SKIPS = ("identity", "pool", "none")
IMAGE = "image"
"""The place of a network's input."""
PADDINGS = ("symmetric", "same")
NORM_EPSILON = 1e-3
"""Added to the variance by every batch normalisation, as in the TensorFlow originals."""
MAX_CHANNELS, MAX_PIXELS, MAX_BLOCKS, MAX_WINDOW = 1_000_000, 10_000, 2_000, 1_000
"""The most channels of a block, pixels of a side, blocks, and the largest kernel or stride.

Real networks are far below; a small file with larger numbers would take hours or gigabytes.
"""

JOINING_KINDS = ("concat", "add")
"""The kinds of blocks that read several blocks."""
EVEN_KINDS = ("conv",)
"""The kinds of blocks whose kernel may be even if the stride is: YOLOv5 has a 6x6 stem."""

_POSITIVE = ("in_channels", "out_channels", "kernel", "stride")
_NOT_NEGATIVE = ("hidden_channels", "se_channels", "first_channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block in whole numbers; ratios are resolved before.

    `hidden_channels` are the channels after the expansion (MBConv); if they equal `in_channels`,
    there is no expansion layer. `se_channels` is the width of the squeeze-and-excitation
    bottleneck, 0 for none; `se_act` is the activation inside it, `gate` the last one. `skip` is the
    requested shortcut: "identity" applies if the stride is 1 and the channels are equal; "pool", a
    3x3 average pooling at the block's stride, applies if the channels are equal. `first_channel` is
    the first channel that a split takes. `inputs` are the places of the blocks that it reads, as in
    ("stages.4.2", "head.0"), by default the block before it.
    """

    kind: str
    in_channels: int
    out_channels: int
    hidden_channels: int = 0
    kernel: int = 1
    stride: int = 1
    se_channels: int = 0
    act: str = "relu6"
    se_act: str = "relu"
    gate: str = "sigmoid"
    skip: str = "identity"
    first_channel: int = 0
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _kind(self.kind))
        for name in _POSITIVE + _NOT_NEGATIVE:
            value = getattr(self, name)
            least = 1 if name in _POSITIVE else 0
            most = MAX_WINDOW if name in ("kernel", "stride") else MAX_CHANNELS
            check_whole(f"block {name}", value, least, most, name)
        if self.kernel % 2 == 0 and (self.kind not in EVEN_KINDS or self.stride % 2):
            raise BadValue(f"block kernel must be odd, not {self.kernel}", "kernel")
        for name, allowed in (
            ("act", ACTS), ("se_act", ACTS), ("gate", GATES), ("skip", SKIPS)
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise BadValue(
                    f"block {name} must be one of {', '.join(allowed)}, "
                    f"not {shown(getattr(self, name))}",
                    name,
                )

    @property
    def expands(self) -> bool:
        """Whether an MBConv block has an expansion layer."""
        return self.hidden_channels != self.in_channels

    @property
    def squeezes(self) -> bool:
        """Whether the block has squeeze-and-excitation."""
        return self.se_channels > 0

    @property
    def keeps_channels(self) -> bool:
        """Whether the block has as many output channels as input channels."""
        return self.in_channels == self.out_channels


Blocks = tuple[Block, ...]


def _kind(kind: object) -> str:
    """Return the kind of a block as plain text; code that a file names needs permission."""
    if not isinstance(kind, str) or re.search(r"\s", kind):
        raise BadValue(f"block kind must be a name, not {shown(kind)}", "kind")
    try:
        check_named("blocks", kind)
    except NasError as error:
        raise BadValue(str(error), "kind") from None
    return str(kind)


@lru_cache(maxsize=1 << 13)
def block_of(**values: Any) -> Block:
    """Return the block with these fields; equal blocks are created once and shared."""
    return Block(**values)


def check_whole(what: str, value: object, least: int, most: int, *path: str) -> None:
    """Reject anything but a whole number from `least` to `most`.

    Raises:
        BadValue: with the `path` to it.
    """
    if type(value) is not int or value < least:
        raise BadValue(f"{what} must be a whole number >= {least}, not {shown(value)}", *path)
    if value > most:
        raise BadValue(f"{what} must be {most:,} at most, not {shown(value)}", *path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A convolutional network: a stem, stages of blocks, and a head, at one input resolution.

    Without a `detector` it is a classifier; with one it is a detector, whose outputs `detector`
    names. A block reads the block before it, or those in its `inputs`.
    `resolution` is the side of the square input in pixels. `dropout` is applied before the last
    linear layer. `drop_connect` is the rate of drop path, which grows linearly from 0 at the first
    block of the stages (Huang et al., 2016): as in EfficientNet, the last of n blocks has
    (n - 1) / n of it. `norm_epsilon` is added to the variance by every normalisation. `padding` is
    the padding of the convolutions: "symmetric" (equal on both sides, whatever the size of the
    maps) or "same" (TensorFlow's, which differs at strides: as little as needed, the larger half
    after the map).
    Three fields take no part in comparison and fingerprint: `name` is a label; with
    `fixed_features`, width multipliers leave the head's last features (1280, say) as they are;
    `detector_head` is the head that made the network a detector, which scaling needs.
    """

    resolution: int
    stem: Blocks
    stages: tuple[Blocks, ...]
    head: Blocks
    input_channels: int = 3
    dropout: float = 0.0
    drop_connect: float = 0.0
    norm_epsilon: float = NORM_EPSILON
    padding: str = "symmetric"
    detector: Detector | None = None
    detector_head: str = field(default="", compare=False)
    fixed_features: bool = field(default=False, compare=False)
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_whole("resolution", self.resolution, 1, MAX_PIXELS, "resolution")
        check_whole("input_channels", self.input_channels, 1, MAX_CHANNELS, "input_channels")
        for label in ("dropout", "drop_connect"):
            self._check_number(label, "in [0, 1)", lambda rate: 0.0 <= rate < 1.0)
        self._check_number("norm_epsilon", "above 0, up to 1", lambda number: 0.0 < number <= 1.0)
        if self.padding not in PADDINGS:
            text = f"padding must be one of {', '.join(PADDINGS)}, not {shown(self.padding)}"
            raise BadValue(text, "padding")
        if not isinstance(self.fixed_features, bool):
            text = f"fixed_features must be true or false, not {shown(self.fixed_features)}"
            raise BadValue(text, "fixed_features")
        for label in ("name", "detector_head"):
            if not isinstance(getattr(self, label), str):
                text = f"{label} must be text, not {shown(getattr(self, label))}"
                raise BadValue(text, label)
        self._check_channels()

    def _check_number(self, label: str, wanted: str, allowed: Callable[[float], bool]) -> None:
        value = getattr(self, label)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not allowed(value):
            raise BadValue(f"{label} must be a number {wanted}, not {shown(value)}", label)
        object.__setattr__(self, label, float(value))  # 0 and 0.0 have the same fingerprint

    def _check_channels(self) -> None:
        blocks = self.named_blocks()
        if not blocks:
            raise BadValue("an architecture needs at least one block", "stem")
        if len(blocks) > MAX_BLOCKS:
            raise BadValue(f"an architecture has at most {MAX_BLOCKS:,} blocks", "stages")
        given = {IMAGE: self.input_channels}
        before = IMAGE
        for place, block in blocks:
            _check_inputs(place, block, given)
            channels = [given[name] for name in block.inputs or (before,)]
            found = sum(channels) if block.kind == "concat" else channels[0]
            if block.in_channels != found or (block.kind == "add" and len(set(channels)) > 1):
                what = f"those that it reads give {', '.join(map(str, channels))}"
                raise BadValue(
                    f"in_channels of {place} is {block.in_channels}, "
                    f"but {what if block.inputs else f'the block before it gives {found}'}",
                    *steps(place),
                    "in_channels",
                )
            given[place], before = block.out_channels, place
        self._check_outputs(blocks, given)

    def _check_outputs(self, blocks: Sequence[tuple[str, Block]], given: Mapping[str, int]) -> None:
        """Reject blocks that nothing reads, and outputs of a detector that do not fit."""
        places = [place for place, _ in blocks]
        read = {name for _, block in blocks for name in block.inputs}
        read |= {before for (before, _), (_, b) in pairwise(blocks) if not b.inputs}
        outputs = self.detector.outputs if self.detector else {places[-1]: given[places[-1]]}
        for place, channels in outputs.items():
            if given.get(place) != channels:
                found = f"gives {given[place]}" if place in given else "is not a block"
                raise BadValue(f"{place} must give {channels} channels, but {found}", "detector")
        for place in places:
            if place not in read and place not in outputs:
                raise BadValue(f"nothing reads {place}", *steps(place))

    def named_blocks(self) -> tuple[tuple[str, Block], ...]:
        """Return every block with its place, as in ("stem.0", ...), ("stages.2.1", ...)."""
        stem = [(f"stem.{i}", block) for i, block in enumerate(self.stem)]
        body = [
            (f"stages.{s}.{i}", block)
            for s, stage in enumerate(self.stages)
            for i, block in enumerate(stage)
        ]
        head = [(f"head.{i}", block) for i, block in enumerate(self.head)]
        return tuple(stem + body + head)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal architectures whatever their names."""
        content = {k: v for k, v in to_mapping(self).items() if k not in _LABELS}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_inputs(place: str, block: Block, given: Mapping[str, int]) -> None:
    """Reject inputs that are not earlier blocks, and several inputs of a block that joins none."""
    for name in block.inputs:
        if name not in given:
            text = f"{place} reads {shown(name)}, which is not a block before it"
            raise BadValue(text, *steps(place), "inputs")
    if len(block.inputs) > 1 and block.kind not in JOINING_KINDS:
        text = f"{place} reads {len(block.inputs)} blocks; join them with a concat or an add first"
        raise BadValue(text, *steps(place), "inputs")


def steps(place: str) -> tuple[str | int, ...]:
    """Return the path to a block in the content of a file: "stages.2.1" -> "stages", 2, 1."""
    return tuple(int(step) if step.isdigit() else step for step in place.split("."))


_BLOCK_FIELDS = {f.name: f.default for f in fields(Block)}
_ARCH_FIELDS = tuple(f.name for f in fields(Architecture))
_DEFAULTS = {f.name: f.default for f in fields(Architecture)}
_LABELS = tuple(f.name for f in fields(Architecture) if not f.compare)
_FILE_KEYS = ("schema", "reference", "weights", *_ARCH_FIELDS)
_FILE_REQUIRED = ("schema", "resolution", "stem", "stages", "head")


def block_mapping(block: Block) -> dict[str, Any]:
    """Return the fields of `block` that differ from their defaults, as plain values.

    No field names code to run, so texts from a file become plain too.
    """
    return dict(_changed(block))


@lru_cache(maxsize=1 << 13)
def _changed(block: Block) -> tuple[tuple[str, Any], ...]:
    values = ((name, getattr(block, name), default) for name, default in _BLOCK_FIELDS.items())
    return tuple((name, _plain(value)) for name, value, default in values if value != default)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [str(text) for text in value]
    return str(value) if isinstance(value, str) else value


def _conventions(arch: Architecture) -> dict[str, Any]:
    """Return the fields that depend on the origin of weights; files omit their defaults."""
    values = {"norm_epsilon": arch.norm_epsilon, "padding": str(arch.padding)}
    return {name: value for name, value in values.items() if value != _DEFAULTS[name]}


def to_mapping(arch: Architecture) -> dict[str, Any]:
    """Return `arch` as the content of its YAML or JSON file, `schema` first."""
    return {
        "schema": SCHEMA,
        **({"name": arch.name} if arch.name else {}),
        "resolution": arch.resolution,
        "input_channels": arch.input_channels,
        "dropout": arch.dropout,
        "drop_connect": arch.drop_connect,
        **_conventions(arch),
        "stem": [block_mapping(b) for b in arch.stem],
        "stages": [[block_mapping(b) for b in stage] for stage in arch.stages],
        **({"fixed_features": True} if arch.fixed_features else {}),
        "head": [block_mapping(b) for b in arch.head],
        **({"detector": plain_detector(arch.detector)} if arch.detector else {}),
        **({"detector_head": str(arch.detector_head)} if arch.detector_head else {}),
    }


def from_mapping(data: Mapping[str, Any], *, source: str = "architecture") -> Architecture:
    """Return the architecture that `data`, the content of a file, describes.

    Raises:
        BadFile: if a key is unknown or missing, or a value is out of range; the message begins
            with `source` and names the key.
    """
    check_keys(data, known=_FILE_KEYS, required=_FILE_REQUIRED, place=source)
    check_schema(data, place=source)
    return Reader(source).record(data, Architecture, more=True)
