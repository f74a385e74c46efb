"""Read Once-for-All's network descriptions (net.config); `nas.exporting.ofa` writes them.

Their JSON is that of Cai et al., 2020 (code at mit-han-lab/once-for-all; ProxylessNAS uses the
same): `first_conv`, `blocks` of an inverted bottleneck and a shortcut, and one of two heads:

| `name` | after the blocks |
|---|---|
| `MobileNetV3` | `final_expand_layer`, pooling, `feature_mix_layer`, `classifier` |
| `ProxylessNASNets` | `feature_mix_layer`, which may be null, pooling, `classifier` |

The resolution is `image_size` in a run.config beside it. The width of squeeze-and-excitation is a
quarter of the hidden channels in multiples of 8. MobileNetV3's feature_mix_layer has no bias there;
here it is a linear layer, which has one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nas.core import data, strict_json
from nas.core.errors import BadFile, BadValue
from nas.core.schema import Count, Fraction, OneOf, Range, Reader
from nas.core.text import shown
from nas.network.blocks import Architecture, Block, Blocks
from nas.network.multipliers import round_channels

NET_CONFIG = "net.config"
RESOLUTION = 224
"""The side of the input in pixels, unless a run.config gives another one."""

ACT_NAMES = {
    "relu": "relu", "relu6": "relu6", "h_swish": "hswish", "h_sigmoid": "hsigmoid",
    "sigmoid": "sigmoid", "none": "none",
}  # fmt: skip
"""Our names of activations, by theirs."""
KINDS = ("MobileNetV3", "ProxylessNASNets")
ORDER = "weight_bn_act"

_Act = Annotated[str, OneOf(tuple(ACT_NAMES))]
_Order = Annotated[str, OneOf((ORDER,))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conv:
    name: Annotated[str, OneOf(("ConvLayer",))]
    in_channels: Count
    out_channels: Count
    kernel_size: Count = 3
    stride: Count = 1
    dilation: Count = 1
    groups: Count = 1
    bias: bool = False
    has_shuffle: bool = False
    use_se: bool = False
    use_bn: bool = True
    act_func: _Act | None = "relu"
    dropout_rate: Fraction = 0.0
    ops_order: _Order = ORDER

    def __post_init__(self) -> None:
        for name in ("dilation", "groups"):
            _only(self, name, 1)
        for name in ("has_shuffle", "use_se"):
            _only(self, name, False)
        _only(self, "dropout_rate", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bottleneck:
    """The convolutions of a block; a ZeroLayer has none of the fields."""

    name: Annotated[str, OneOf(("MBConvLayer", "MBInvertedConvLayer", "ZeroLayer"))]
    in_channels: Count = 1
    out_channels: Count = 1
    kernel_size: Count = 3
    stride: Count = 1
    expand_ratio: Annotated[float, Range(0, 1000)] | None = 6.0
    mid_channels: int | None = None
    act_func: _Act | None = "relu6"
    use_se: bool = False
    groups: Count | None = None

    def __post_init__(self) -> None:
        _only(self, "groups", None)

    @property
    def hidden(self) -> int:
        """The channels of the depthwise convolution."""
        if self.mid_channels is not None:
            return self.mid_channels
        return round(self.in_channels * (self.expand_ratio or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Residual:
    name: Annotated[str, OneOf(("MobileInvertedResidualBlock", "ResidualBlock"))]
    mobile_inverted_conv: _Bottleneck | None = None
    conv: _Bottleneck | None = None
    shortcut: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linear:
    name: Annotated[str, OneOf(("LinearLayer",))]
    in_features: Count
    out_features: Count
    bias: bool = True
    use_bn: bool = False
    act_func: str | None = None
    dropout_rate: Fraction = 0.0
    ops_order: _Order = ORDER

    def __post_init__(self) -> None:
        for name, value in (("bias", True), ("use_bn", False), ("act_func", None)):
            _only(self, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Norm:
    momentum: Fraction = 0.1
    eps: Annotated[float, Range(0, 1, above=True)] = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Net:
    name: Annotated[str, OneOf(KINDS)]
    bn: _Norm | None = None
    first_conv: _Conv
    blocks: tuple[_Residual, ...]
    final_expand_layer: _Conv | None = None
    feature_mix_layer: _Conv | None = None
    classifier: _Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    image_size: Count = RESOLUTION


def _only(record: object, name: str, value: object) -> None:
    """Reject a value that no network here has."""
    if getattr(record, name) != value:
        wanted = strict_json.dumps(value)
        raise BadValue(f"{name} must be {wanted}, not {shown(getattr(record, name))}", name)


def is_net_config(content: Mapping[str, Any]) -> bool:
    """Return whether `content` is that of a net.config."""
    return "schema" not in content and {"first_conv", "blocks", "classifier"} <= content.keys()


def run_config_path(path: Path) -> Path:
    """Return the file beside a net.config that holds its resolution.

    It is run.config for net.config, and X.run.json for X.json.
    """
    if path.name == NET_CONFIG:
        return path.with_name("run.config")
    return path.with_name(f"{path.stem}.run{path.suffix}")


def read_net_config(content: Mapping[str, Any], path: Path) -> Architecture:
    """Return the architecture that `content` of the net.config at `path` describes.

    It is named after the file, or after the folder of a file called net.config.

    Raises:
        BadFile: if a value is missing, out of range, or of a network that is not supported.
    """
    net = Reader(path).record(content, _Net)
    try:
        return Architecture(
            resolution=_resolution(run_config_path(path)),
            input_channels=net.first_conv.in_channels,
            dropout=net.classifier.dropout_rate,
            norm_epsilon=(net.bn or _Norm()).eps,
            stem=(_conv(net.first_conv, "first_conv"),),
            stages=_stages(_block(found, f"blocks.{i}") for i, found in enumerate(net.blocks)),
            head=_head(net),
            name=path.resolve().parent.name if path.name == NET_CONFIG else path.stem,
        )
    except BadValue as error:
        raise BadFile(f"{path}: {error}") from None


def _resolution(path: Path) -> int:
    if not path.is_file():
        return RESOLUTION
    return Reader(path).record(data.read_foreign(path), _Run, more=True).image_size


def _conv(conv: _Conv, place: str) -> Block:
    if not conv.use_bn:
        raise BadValue(f"{place}: only a convolution with use_bn is read")
    return _made(
        place,
        kind="conv",
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        kernel=conv.kernel_size,
        stride=conv.stride,
        act=ACT_NAMES[conv.act_func or "none"],
    )


def _made(place: str, **values: Any) -> Block:
    try:
        return Block(**values)
    except BadValue as error:
        raise BadValue(f"{place}: {error}") from None


def _block(found: _Residual, place: str) -> Block | None:
    """Return a block, None for one that is only a shortcut."""
    conv, shortcut = found.mobile_inverted_conv or found.conv, found.shortcut
    if shortcut is not None and shortcut.get("name") != "IdentityLayer":
        raise BadValue(f"{place}: shortcut is read as IdentityLayer or null alone")
    if conv is None:
        raise BadValue(f"{place}: missing mobile_inverted_conv")
    if conv.name == "ZeroLayer":
        if shortcut is None:
            raise BadValue(f"{place}: a ZeroLayer without a shortcut gives nothing")
        return None
    return _bottleneck(conv, place, joins=shortcut is not None)


def _bottleneck(conv: _Bottleneck, place: str, *, joins: bool) -> Block:
    if (conv.expand_ratio == 1) != (conv.hidden == conv.in_channels):
        raise BadValue(
            f"{place}: an expansion from {conv.in_channels} to {conv.hidden} channels with "
            f"expand_ratio {conv.expand_ratio} is no block here"
        )
    could = conv.stride == 1 and conv.in_channels == conv.out_channels
    if joins and not could:
        raise BadValue(f"{place}: a shortcut needs stride 1 and as many channels as before")
    return _made(
        place,
        kind="mbconv",
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        hidden_channels=conv.hidden,
        kernel=conv.kernel_size,
        stride=conv.stride,
        se_channels=se_channels(conv.hidden) if conv.use_se else 0,
        act=ACT_NAMES[conv.act_func or "none"],
        gate="hsigmoid" if conv.use_se else "sigmoid",
        skip="none" if could and not joins else "identity",
    )


def se_channels(hidden: int) -> int:
    """Return the squeeze-and-excitation width for `hidden` channels."""
    return round_channels(hidden // 4)


def _stages(blocks: Iterable[Block | None]) -> tuple[Blocks, ...]:
    """Return blocks as stages; a change of channels or a stride begins a new one."""
    stages: list[list[Block]] = []
    for block in blocks:
        if block is None:
            continue
        if not stages or block.stride > 1 or not block.keeps_channels:
            stages.append([])
        stages[-1].append(block)
    return tuple(map(tuple, stages))


def _head(net: _Net) -> Blocks:
    """Return the head; one of the other kind of network is rejected for its missing parts."""
    last, mix, classifier = net.final_expand_layer, net.feature_mix_layer, net.classifier
    before, behind = (last, mix) if net.name == "MobileNetV3" else (mix, None)
    blocks = [_conv(before, "the layer before the pooling")] if before else []
    channels = before.out_channels if before else classifier.in_features
    if behind:
        channels = behind.in_channels
    blocks.append(_made("pooling", kind="pool", in_channels=channels, out_channels=channels))
    if behind:
        if behind.use_bn or behind.kernel_size != 1:
            raise BadValue("feature_mix_layer: only a 1x1 convolution without use_bn is read")
        blocks.append(_linear(behind.in_channels, behind.out_channels, behind.act_func))
    return (*blocks, _linear(classifier.in_features, classifier.out_features, None))


def _linear(inputs: int, outputs: int, act: str | None) -> Block:
    name = ACT_NAMES[act or "none"]
    return _made("head", kind="linear", in_channels=inputs, out_channels=outputs, act=name)
