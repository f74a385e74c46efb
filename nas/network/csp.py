"""The parts of YOLO networks: each function adds one to a sketch and returns its output's place.

The structures are those of Wang et al., 2020 (CSPNet), He et al., 2015 (spatial pyramid pooling),
and Ma et al., 2018 (ShuffleNetV2), as YOLOv5 and YOLOv8 arrange them.
"""

from nas.network.sketch import Sketch

SWISH, RELU = "swish", "relu"
POOLING = 5
"""The kernel of the repeated pooling; three in a row see 13 pixels."""


def c2f(sketch: Sketch, source: str, out: int, *, repeats: int, residual: bool) -> str:
    """Add YOLOv8's block: half the channels pass bottlenecks, each of whose outputs is kept."""
    half = out // 2
    both = sketch.conv(source, 2 * half)
    parts = [both]
    now = sketch.add("split", both, half, first_channel=half)
    for _ in range(repeats):
        now = _bottleneck(sketch, now, kernels=(3, 3), residual=residual)
        parts.append(now)
    return sketch.conv(sketch.join("concat", parts), out)


def c3(sketch: Sketch, source: str, out: int, *, repeats: int, residual: bool) -> str:
    """Add YOLOv5's block: two branches of half the channels, one of bottlenecks."""
    plain = sketch.conv(source, out // 2)
    now = sketch.conv(source, out // 2)
    for _ in range(repeats):
        now = _bottleneck(sketch, now, kernels=(1, 3), residual=residual)
    return sketch.conv(sketch.join("concat", [now, plain]), out)


def _bottleneck(sketch: Sketch, source: str, *, kernels: tuple[int, int], residual: bool) -> str:
    channels = sketch.channels[source]
    now = sketch.conv(sketch.conv(source, channels, kernels[0]), channels, kernels[1])
    return sketch.join("add", [source, now]) if residual else now


def pyramid_pooling(sketch: Sketch, source: str, out: int) -> str:
    """Add spatial pyramid pooling: the input, pooled once, twice and three times, concatenated."""
    parts = [sketch.conv(source, sketch.channels[source] // 2)]
    for _ in range(3):
        parts.append(sketch.add("maxpool", parts[-1], kernel=POOLING))
    return sketch.conv(sketch.join("concat", parts), out)


def shuffle_block(sketch: Sketch, source: str, out: int, *, stride: int) -> str:
    """Add a block of ShuffleNetV2; at stride 1 half the channels pass unchanged."""
    half = out // 2
    if stride == 1:
        passed = sketch.add("split", source, half)
        start = sketch.add("split", source, half, first_channel=half)
    else:
        filtered = sketch.add("depthwise", source, kernel=3, stride=stride, act="none")
        passed, start = sketch.conv(filtered, half), source
    widened = sketch.conv(start, half)
    filtered = sketch.add("depthwise", widened, kernel=3, stride=stride, act="none")
    found = sketch.conv(filtered, half)
    return sketch.add("shuffle", sketch.join("concat", [passed, found]))
