"""A tiny detector for tests: two levels, on small images."""

from nas.network.blocks import Architecture, Block
from nas.network.detector import Detector, Level

ANCHORS = ((0.2, 0.2), (0.4, 0.4), (0.2, 0.4))


def tiny_detector(coder: str = "ssd", *, classes: int = 3, side: int = 64) -> Architecture:
    """Return a detector with maps at strides of 8 and 16."""
    anchored = coder != "yolo"
    bins = 1 if anchored else 8
    level = {"anchors": ANCHORS} if anchored else {}
    detector = Detector(
        coder=coder,
        classes=classes,
        bins=bins,
        levels=(
            Level(boxes="head.0", classes="head.1", **level),
            Level(boxes="head.2", classes="head.3", **level),
        ),
    )
    outputs = detector.outputs
    sources = {"head.0": "stages.0.2", "head.1": "stages.0.2", "head.2": "stages.1.0",
               "head.3": "stages.1.0"}  # fmt: skip
    widths = {"stages.0.2": 48, "stages.1.0": 64}
    return Architecture(
        resolution=side,
        stem=(_conv(3, 16, 2),),
        stages=((_conv(16, 32, 2), _conv(32, 48, 2), _conv(48, 48, 1)), (_conv(48, 64, 2),)),
        head=tuple(
            Block(
                kind="predict",
                in_channels=widths[source],
                out_channels=outputs[place],
                act="none",
                inputs=(source,),
            )
            for place, source in sources.items()
        ),
        detector=detector,
        name=f"tiny_{coder}",
    )


def _conv(channels: int, out: int, stride: int) -> Block:
    return Block(
        kind="conv", in_channels=channels, out_channels=out, kernel=3, stride=stride, act="swish"
    )
