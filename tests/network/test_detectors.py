"""Detectors have the parameters, multiply-adds and anchors that were published."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.detection.architectures import files
from nas.core.data import folder
from nas.core.errors import BadValue, NasError
from nas.network.blocks import Architecture, Block, from_mapping, to_mapping
from nas.network.builder import ArchitectureBuilder
from nas.network.cost import cost
from nas.network.detector import Detector, Level
from nas.network.detectors import has_head
from nas.network.footprint import peak_mb
from nas.network.lowering import lower, priors_of
from nas.network.multipliers import Multipliers, scale, scale_resolution
from nas.network.zoo import DETECTORS, load_architecture
from nas.pruning.channels import groups, narrowed

PARAMETERS = {
    "ssdlite:mobilenet_v3_large,reduced_tail=true": 3_440_060,
    "ssdlite:mobilenet_v3_large,reduced_tail=true,fewer_anchors=true": 3_248_255,
    "ssdlite:mobilenet_v3_large,fewer_anchors=true": 5_006_735,
    "ssdlite:mobilenet_v3_small,reduced_tail=true,fewer_anchors=true": 1_785_743,
    "ssdlite:mobilenet_v2,fewer_anchors=true": 4_500_543,
    "yolov8n": 3_157_200,
    "yolov8s": 11_166_560,
    "yolov5n": 1_872_157,
    "yolov5_lite_e": 783_781,
    "yolov5_lite_s": 1_646_721,
}
"""From torchvision's ssdlite320_mobilenet_v3_large, TensorFlow's variants, and papers."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_published(name: str) -> None:
    assert cost(load_architecture(name)).params == PARAMETERS[name]


def test_multiply_adds_are_those_published() -> None:
    large = load_architecture("ssdlite:mobilenet_v3_large,reduced_tail=true")
    assert cost(large).macs == 583_171_904
    assert round(cost(load_architecture("yolov8n")).macs / 1e7) == 437


@pytest.mark.parametrize(
    ("name", "count"),
    [("ssdlite:mobilenet_v3_large", 3234), ("ssdlite:mobilenet_v3_large,fewer_anchors=true", 2034),
     ("ssd:mobilenet_v1@300", 1917), ("yolov8n", 8400), ("yolov5n", 25200)],
)  # fmt: skip
def test_anchors_and_points_are_those_published(name: str, count: int) -> None:
    assert len(priors_of(load_architecture(name))) == count


@pytest.mark.parametrize("name", files())
def test_bundled_files_are_what_their_structure_gives(name: str) -> None:
    path = folder(DETECTORS) / name
    assert path.read_text(encoding="utf-8") == files()[name]


@pytest.mark.parametrize("name", ["ssdlite:mobilenet_v2", "yolov8n"])
def test_a_detector_is_read_as_it_was_written(name: str) -> None:
    arch = load_architecture(name)
    again = from_mapping(to_mapping(arch))
    assert again == arch
    assert again.fingerprint == arch.fingerprint


def test_the_tap_is_the_expansion_of_the_first_block_with_stride_32() -> None:
    arch = load_architecture("ssdlite:mobilenet_v3_large")
    units = {unit.name: unit for unit in lower(arch)}
    assert units["stages.4.0"].out_shape == (672, 20, 20)
    assert units["stages.4.1"].block.hidden_channels == units["stages.4.1"].block.in_channels
    first, second = (units[name] for name in ("head.9", "head.10"))
    assert first.inputs == ("stages.4.0",)
    assert (second.block.kind, second.out_shape[0]) == ("predict", 24)


def test_ssd_priors_are_those_of_the_paper() -> None:
    found = priors_of(load_architecture("ssdlite:mobilenet_v3_large"))
    np.testing.assert_allclose(found.centres[:7], [[8, 8]] * 6 + [[24, 8]])
    squares = [0.2 * 320, 320 * np.sqrt(0.2 * 0.35)]
    np.testing.assert_allclose(found.sizes[:2, 0], squares, rtol=1e-5)
    np.testing.assert_allclose(found.sizes[2], [64 * np.sqrt(2), 64 / np.sqrt(2)], rtol=1e-5)
    assert found.strides[0] == 16
    assert found.sizes.max() <= 320


def test_small_inputs_have_fewer_maps() -> None:
    arch = load_architecture("ssdlite:mobilenet_v3_small@96")
    sides = [unit.out_shape[1] for unit in lower(arch) if unit.block.kind == "predict"]
    assert sides == [6, 6, 3, 3, 2, 2, 1, 1]


def test_peak_memory_counts_what_waits_for_later_blocks() -> None:
    builder = ArchitectureBuilder(act="relu")
    first = builder.conv("image", 8)
    builder.section = "head"
    second = builder.conv(first, 8)
    builder.join("concat", [builder.conv(second, 8), first])
    arch = builder.architecture(resolution=10)
    assert peak_mb(arch) == pytest.approx(4 * 10 * 10 * 32 / 1e6)  # two of 8 joined to 16
    third = replace(arch.head[-1], inputs=("head.0", "head.1"))
    chain = replace(arch, head=(*arch.head[:-1], third))
    assert [unit.inputs for unit in lower(chain)][-1] == ("head.0", "head.1")


def small(**changes: object) -> Architecture:
    builder = ArchitectureBuilder(act="relu")
    first = builder.conv("image", 8, 3, 2)
    builder.section = "head"
    boxes = builder.add("predict", first, 4, act="none")
    classes = builder.add("predict", first, 2, act="none")
    level = Level(boxes=boxes, classes=classes)
    detector = Detector(coder="yolo", classes=2, levels=(level,))
    return replace(builder.architecture(resolution=16, detector=detector), **changes)


def of_stem(arch: Architecture) -> tuple[Block, ...]:
    return tuple(replace(block, inputs=("stem.0",)) for block in arch.head)


WRONG = {
    "an unknown input": (
        lambda arch: replace(
            arch, head=(replace(arch.head[0], inputs=("head.7",)), *arch.head[1:])
        ),
        "head.0 reads 'head.7', which is not a block before it",
    ),
    "two inputs of a convolution": (
        lambda arch: replace(
            arch, head=(arch.head[0], replace(arch.head[1], inputs=("stem.0", "head.0")))
        ),
        "head.1 reads 2 blocks; join them with a concat or an add first",
    ),
    "other channels than its inputs": (
        lambda arch: replace(arch, head=(arch.head[0], replace(arch.head[1], in_channels=4))),
        "in_channels of head.1 is 4, but those that it reads give 8",
    ),
    "an output of other channels": (
        lambda arch: replace(arch, detector=replace(arch.detector, classes=3)),
        "head.1 must give 3 channels, but gives 2",
    ),
    "an output that is no block": (
        lambda arch: replace(
            arch,
            detector=replace(arch.detector, levels=(Level(boxes="head.0", classes="head.5"),)),
        ),
        "head.5 must give 2 channels, but is not a block",
    ),
    "a block that nothing reads": (
        lambda arch: replace(
            arch,
            head=(Block(kind="predict", in_channels=8, out_channels=4), *of_stem(arch)),
            detector=replace(arch.detector, levels=(Level(boxes="head.1", classes="head.2"),)),
        ),
        "nothing reads head.0",
    ),
    "an unknown coder": (
        lambda arch: replace(arch.detector, coder="rcnn"),
        "coder must be one of ssd, yolo, yolov5, not 'rcnn'",
    ),
    "anchors where there are none": (
        lambda arch: replace(arch.detector, coder="ssd"),
        "the coder ssd needs anchors at every level",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_refuses(what: str) -> None:
    change, message = WRONG[what]
    with pytest.raises(BadValue) as error:
        change(small())
    assert message in str(error.value)


TEXTS = {
    "yolo:mobilenet_v2@300": "must be a multiple of 32, as 288 or 320, not 300",
    "ssdlite:": "names no backbone; write ssdlite:mobilenet_v3_large",
    "ssdlite:yolov8n": "yolov8n is a detector already",
    "ssdlite:mobilenet_v2,clases=3": "unknown option 'clases'; did you mean classes?",
    "yolo:mobilenet_v2,width=9": "width must be 0.05 to 4, not 9",
    "yolov8x": "did you mean yolov8s",
    "yolov8n@0.5": "bundled detectors have no width multiplier; write yolov8n@320",
    "yolov8n@1-320": "bundled detectors have no width multiplier; write yolov8n@320",
    "yolov8n@100": "yolov8n@100: head.1: the concat block reads maps of different sides",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_name_that_is_none_says_why(text: str) -> None:
    with pytest.raises(NasError) as error:
        load_architecture(text)
    assert TEXTS[text] in str(error.value)
    assert "\n" not in str(error.value)


def test_a_width_multiplier_is_no_resolution() -> None:
    arch = load_architecture("ssdlite:mobilenet_v3_large@0.75")
    assert arch.resolution == 320
    assert (
        arch.stem[0].out_channels
        == load_architecture("mobilenet_v3_large@0.75").stem[0].out_channels
    )
    assert load_architecture("ssdlite:mobilenet_v3_large@0.75@256").resolution == 256
    assert has_head("yolo:mobilenet_v2")
    assert not has_head("timm:mobilenet_v2")


@pytest.mark.parametrize("name", ["ssdlite:mobilenet_v2@192", "yolo:mnasnet_a1@192"])
def test_a_detector_is_scaled_as_the_head_on_its_scaled_backbone(name: str) -> None:
    arch = load_architecture(name)
    by = Multipliers(width=1.5, depth=1.2, resolution=4 / 3)
    scaled, backbone = scale(arch, by), scale(load_architecture(name.split(":")[1][:-4]), by)
    assert scaled.resolution == 256
    assert scaled.stem == backbone.stem
    assert scaled.stages[:2] == backbone.stages[:2]
    assert (
        scaled.detector == load_architecture(name.replace("192", "256")).detector or "yolo" in name
    )
    assert cost(scaled).macs > 3 * cost(arch).macs


def test_a_detector_at_another_resolution_has_the_maps_of_that_one() -> None:
    arch = load_architecture("ssdlite:mobilenet_v3_small")
    assert scale_resolution(arch, 96) == load_architecture("ssdlite:mobilenet_v3_small@96")
    group = next(group for group in groups(arch) if group.name == "head.2.out")
    pruned = narrowed(arch, group, 64)
    assert cost(scale_resolution(pruned, 224)).params == cost(pruned).params


def test_a_bundled_detector_is_scaled_in_resolution_only() -> None:
    arch = load_architecture("yolov8n")
    assert scale(arch, Multipliers(resolution=0.5)).resolution == 320
    with pytest.raises(BadValue, match="yolov8n is scaled in resolution only"):
        scale(arch, Multipliers(width=2.0))


def test_a_side_behind_a_bundled_detector_is_its_resolution() -> None:
    arch = load_architecture("yolov8n@320")
    assert (arch.resolution, arch.name) == (320, "yolov8n@320")
    assert len(priors_of(arch)) == 2100
    assert cost(arch).params == PARAMETERS["yolov8n"]
    assert cost(arch).macs == cost(load_architecture("yolov8n")).macs / 4
