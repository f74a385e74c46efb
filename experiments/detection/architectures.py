"""Write the published YOLO networks as architectures.

    python -m experiments.detection.architectures [FOLDER]

`tests/network/test_detectors.py` compares the files with the output of this module, and their
parameters with the published counts.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.core.data import folder, to_yaml
from nas.network.blocks import IMAGE, Architecture, to_mapping
from nas.network.builder import ArchitectureBuilder
from nas.network.csp import RELU, SWISH, c2f, c3, pyramid_pooling, shuffle_block
from nas.network.heads._pan import Parts, aggregated, anchor_free, anchored

SIDE, CLASSES = 640, 80
EPSILON = 1e-3
ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""In pixels of a 640-pixel input; from k-means on COCO, the same in every YOLOv5."""
OF_SHUFFLENET = (116, 232, 464)

WIDTHS_N = (16, 32, 64, 128, 256)
WIDTHS_S = tuple(2 * width for width in WIDTHS_N)


def yolov8(widths: Sequence[int], *, repeats: Sequence[int] = (1, 2, 2, 1)) -> Architecture:
    """Return YOLOv8 of these widths: C2f blocks, a neck without convolutions before upsampling."""

    def grow(builder: ArchitectureBuilder, source: str, out: int) -> str:
        return c2f(builder, source, out, repeats=repeats[0], residual=False)

    builder = ArchitectureBuilder(act=SWISH)
    last = builder.conv(IMAGE, widths[0], 3, 2)
    maps = []
    for number, (width, count) in enumerate(zip(widths[1:], repeats, strict=True)):
        builder.section = f"stages.{number}"
        last = builder.conv(last, width, 3, 2)
        last = c2f(builder, last, width, repeats=count, residual=True)
        maps.append(last)
    maps[-1] = pyramid_pooling(builder, last, widths[-1])
    builder.section = "head"
    results = aggregated(builder, maps[1:], widths[2:], Parts(grow=grow, shrink=_shrink))
    detector = anchor_free(builder, results, classes=CLASSES)
    return builder.architecture(resolution=SIDE, detector=detector, norm_epsilon=EPSILON)


def yolov5(widths: Sequence[int], *, repeats: Sequence[int] = (1, 2, 3, 1)) -> Architecture:
    """Return YOLOv5 (version 6) of these widths: C3 blocks and three anchors a map."""
    builder = ArchitectureBuilder(act=SWISH)
    last = builder.conv(IMAGE, widths[0], 6, 2)
    maps = []
    for number, (width, count) in enumerate(zip(widths[1:], repeats, strict=True)):
        builder.section = f"stages.{number}"
        last = builder.conv(last, width, 3, 2)
        last = c3(builder, last, width, repeats=count, residual=True)
        maps.append(last)
    maps[-1] = pyramid_pooling(builder, last, widths[-1])
    return _with_anchors(
        builder, maps[1:], widths[2:], Parts(reduce=True, grow=_c3, shrink=_shrink)
    )


def yolov5_lite_e() -> Architecture:
    """Return YOLOv5-Lite e: ShuffleNetV2, a neck of separable convolutions that adds downwards."""

    def grow(builder: ArchitectureBuilder, source: str, out: int) -> str:
        return builder.add("separable", source, out, kernel=3, act=RELU)

    def shrink(builder: ArchitectureBuilder, source: str, out: int) -> str:
        return builder.add("separable", source, out, kernel=3, stride=2, act=RELU)

    builder, maps = _shufflenet((3, 7, 1))
    parts = Parts(reduce=True, joints=("concat", "add"), grow=grow, shrink=shrink)
    return _with_anchors(builder, maps, (96, 96, 96), parts)


def yolov5_lite_s() -> Architecture:
    """Return YOLOv5-Lite s: ShuffleNetV2, and the neck of YOLOv5."""
    builder, maps = _shufflenet((3, 7, 3))
    parts = Parts(reduce=True, grow=_c3, shrink=_shrink)
    return _with_anchors(builder, maps, (64, 128, 256), parts)


def _shufflenet(repeats: Sequence[int]) -> tuple[ArchitectureBuilder, list[str]]:
    """Return ShuffleNetV2 up to its last stage, of stride 32."""
    builder = ArchitectureBuilder(act=RELU)
    last = builder.add("maxpool", builder.conv(IMAGE, 32, 3, 2), kernel=3, stride=2)
    maps = []
    for number, (width, count) in enumerate(zip(OF_SHUFFLENET, repeats, strict=True)):
        builder.section = f"stages.{number}"
        last = shuffle_block(builder, last, width, stride=2)
        for _ in range(count):
            last = shuffle_block(builder, last, width, stride=1)
        maps.append(last)
    builder.act = SWISH
    return builder, maps


def _with_anchors(
    builder: ArchitectureBuilder, maps: Sequence[str], widths: Sequence[int], parts: Parts
) -> Architecture:
    builder.section = "head"
    results = aggregated(builder, maps, widths, parts)
    anchors = [tuple((round(w / SIDE, 6), round(h / SIDE, 6)) for w, h in row) for row in ANCHORS]
    detector = anchored(builder, results, anchors, classes=CLASSES)
    return builder.architecture(resolution=SIDE, detector=detector, norm_epsilon=EPSILON)


def _c3(builder: ArchitectureBuilder, source: str, out: int) -> str:
    return c3(builder, source, out, repeats=1, residual=False)


def _shrink(builder: ArchitectureBuilder, source: str, out: int) -> str:
    return builder.conv(source, out, 3, 2)


def _named(name: str, arch: Architecture, text: str) -> str:
    return f"# {text}\n{to_yaml({**to_mapping(arch), 'name': name})}"


def files() -> Mapping[str, str]:
    """Return the content of every file by its name."""
    lite = "ShuffleNetV2 and"
    made = {
        "yolov8n": (yolov8(WIDTHS_N), "YOLOv8n: C2f blocks, no anchors; 37.3 AP on COCO"),
        "yolov8s": (yolov8(WIDTHS_S), "YOLOv8s: YOLOv8n of twice the width; 44.9 AP on COCO"),
        "yolov5n": (yolov5(WIDTHS_N), "YOLOv5n: C3 blocks, three anchors a map; 28.0 AP on COCO"),
        "yolov5_lite_e": (yolov5_lite_e(), f"YOLOv5-Lite e: {lite} a separable neck; 35.1 AP50"),
        "yolov5_lite_s": (yolov5_lite_s(), f"YOLOv5-Lite s: {lite} YOLOv5's neck; 42.0 AP50"),
    }
    return {f"{name}.yaml": _named(name, arch, text) for name, (arch, text) in made.items()}


def main() -> None:
    """Write the files to a folder, by default where architectures are bundled."""
    parser = ArgumentParser(description=__doc__)
    usual = folder("architectures") / "detectors"
    parser.add_argument("folder", nargs="?", type=Path, default=usual)
    target: Path = parser.parse_args().folder
    target.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (target / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
