"""The parts of YOLO networks: each function adds one to a builder and returns its output's place.

The structures are those of Wang et al., 2020 (CSPNet), He et al., 2015 (spatial pyramid pooling),
and Ma et al., 2018 (ShuffleNetV2), as YOLOv5 and YOLOv8 arrange them.
"""

from nas.network.builder import ArchitectureBuilder

SWISH, RELU = "swish", "relu"
POOLING = 5
"""The kernel of the repeated pooling; three in a row see 13 pixels."""


def c2f(
    builder: ArchitectureBuilder, source: str, out: int, *, repeats: int, residual: bool
) -> str:
    """Add YOLOv8's block: half the channels pass bottlenecks, each of whose outputs is kept."""
    half = out // 2
    both = builder.conv(source, 2 * half)
    parts = [both]
    now = builder.add("split", both, half, first_channel=half)
    for _ in range(repeats):
        now = _bottleneck(builder, now, kernels=(3, 3), residual=residual)
        parts.append(now)
    return builder.conv(builder.join("concat", parts), out)


def c3(builder: ArchitectureBuilder, source: str, out: int, *, repeats: int, residual: bool) -> str:
    """Add YOLOv5's block: two branches of half the channels, one of bottlenecks."""
    plain = builder.conv(source, out // 2)
    now = builder.conv(source, out // 2)
    for _ in range(repeats):
        now = _bottleneck(builder, now, kernels=(1, 3), residual=residual)
    return builder.conv(builder.join("concat", [now, plain]), out)


def _bottleneck(
    builder: ArchitectureBuilder, source: str, *, kernels: tuple[int, int], residual: bool
) -> str:
    channels = builder.channels[source]
    now = builder.conv(builder.conv(source, channels, kernels[0]), channels, kernels[1])
    return builder.join("add", [source, now]) if residual else now


def pyramid_pooling(builder: ArchitectureBuilder, source: str, out: int) -> str:
    """Add spatial pyramid pooling: the input, pooled once, twice and three times, concatenated."""
    parts = [builder.conv(source, builder.channels[source] // 2)]
    for _ in range(3):
        parts.append(builder.add("maxpool", parts[-1], kernel=POOLING))
    return builder.conv(builder.join("concat", parts), out)


def shuffle_block(builder: ArchitectureBuilder, source: str, out: int, *, stride: int) -> str:
    """Add a block of ShuffleNetV2; at stride 1 half the channels pass unchanged."""
    half = out // 2
    if stride == 1:
        passed = builder.add("split", source, half)
        start = builder.add("split", source, half, first_channel=half)
    else:
        filtered = builder.add("depthwise", source, kernel=3, stride=stride, act="none")
        passed, start = builder.conv(filtered, half), source
    widened = builder.conv(start, half)
    filtered = builder.add("depthwise", widened, kernel=3, stride=stride, act="none")
    found = builder.conv(filtered, half)
    return builder.add("shuffle", builder.join("concat", [passed, found]))
