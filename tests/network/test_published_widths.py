"""Width multipliers build the published networks, to the last parameter where known."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.network.cost import cost
from nas.network.multipliers import round_channels
from nas.network.zoo import load_architecture
from nas.space.file import load_space

NETWORKS = Path(__file__).resolve().parents[3] / "shared/data/pixel1/published_end_to_end.json"

# torchvision 0.21, MNASNet*_Weights: num_params, and _ops in billions of multiply-adds
TORCHVISION = {
    "mnasnet_b1@0.5": (2_218_512, 0.104),
    "mnasnet_b1@0.75": (3_170_208, 0.215),
    "mnasnet_b1": (4_383_312, 0.314),
    "mnasnet_b1@1.3": (6_282_256, 0.526),
    "mobilenet_v2": (3_504_872, 0.301),
    "mobilenet_v3_large": (5_483_032, 0.217),
    "mobilenet_v3_small": (2_542_856, 0.057),
    "efficientnet_b0": (5_288_548, 0.386),
}

# Parameters of what timm 1.0 builds for a width (`_gen_mobilenet_v2` and so on), which torchvision
# 0.29 has as well for mobilenet_v2 and mnasnet_b1. Rules differ where the footnotes say so.
WIDTHS = (0.35, 0.5, 0.75, 1.25, 1.3, 1.4)
TIMM = {
    "mobilenet_v1": (763_752, 1_331_592, 2_585_560, 6_270_840, 6_703_624, 7_704_152),
    "mobilenet_v2": (1_677_128, 1_968_680, 2_636_424, 5_050_376, 5_386_792, 6_108_776),
    "mobilenet_v3_large": (2_131_832, 2_689_520, 3_993_528, 7_551_976, 7_846_280, 8_814_624),  # 1
    "mobilenet_v3_small": (1_358_288, 1_592_704, 2_041_872, 3_205_384, 3_427_560, 3_644_456),  # 1
    "mnasnet_a1": (1_747_018, 2_082_006, 2_912_278, 5_255_486, 5_468_486, 6_105_992),
    "mnasnet_b1": (1_788_232, 2_218_512, 3_170_208, 5_965_920, 6_282_256, 7_115_728),
    "single_path_nas": (1_791_888, 2_231_840, 3_192_192, 6_017_680, 6_352_736, 7_188_944),
    "efficientnet_b0": (1_910_976, 2_456_202, 3_729_880, 7_882_482, 8_293_310, 9_670_210),  # 2
}
# 1: below 0.75 with `fix_stem=False`: the original (tensorflow/models, research/slim) narrows the
# stem with everything else, timm and Keras leave it at 16 channels.
# 2: below 1.0 with `num_features=1280`, as the published narrow ones (TinyNets) have it.

# Millions of multiply-adds and of parameters as their authors print them
MNASNET = "tensorflow/tpu, models/official/mnasnet/README.md"
SLIM_V1 = "tensorflow/models, research/slim/nets/mobilenet_v1.md"
SLIM = "tensorflow/models, research/slim/nets/mobilenet/README.md"
PADDLE = "PaddlePaddle/PaddleClas, docs/en/models/Mobile_en.md (GFLOPs are two a multiply-add)"
TINYNET = "Han et al., 2020 (TinyNet-B: B0 at 0.75 and 188 px, but with 32 channels in the stem)"
PRINTED = [
    (MNASNET, "mnasnet_a1@0.35", 63.2, 1.7),
    (MNASNET, "mnasnet_a1@0.5", 105.2, 2.1),
    (MNASNET, "mnasnet_a1@0.75", 226.7, 2.9),
    (MNASNET, "mnasnet_a1@1.4", 591.5, 6.1),
    (MNASNET, "mnasnet_a1@1.4-128", 194.5, 6.1),
    (SLIM_V1, "mobilenet_v1@0.25", 41, 0.47),
    (SLIM_V1, "mobilenet_v1@0.5", 150, 1.34),
    (SLIM_V1, "mobilenet_v1@0.75", 325, 2.59),
    (SLIM, "mobilenet_v2@0.35", 59, 1.66),
    (SLIM, "mobilenet_v2@0.5", 97, 1.95),
    (SLIM, "mobilenet_v2@0.75", 209, 2.61),
    (SLIM, "mobilenet_v2@1.3", 509, 5.34),
    (SLIM, "mobilenet_v2@1.4", 582, 6.06),
    (SLIM, "mobilenet_v3_large@0.75", 155, 4.0),
    (SLIM, "mobilenet_v3_small@0.75", 44, None),  # the 2.4 printed are of wider last features
    (PADDLE, "mobilenet_v3_large@1.25", 357, 7.44),
    (TINYNET, "efficientnet_b0@0.75-188", 202, 3.73),
]


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_are_torchvisions(name: str) -> None:
    params, giga = TORCHVISION[name]
    found = cost(load_architecture(name))
    assert found.params == params
    assert found.macs / 1e9 == pytest.approx(giga, abs=0.001)


@pytest.mark.parametrize("base", TIMM)
def test_parameters_are_timms_at_every_width(base: str) -> None:
    found = [cost(load_architecture(f"{base}@{width}")).params for width in WIDTHS]
    assert found == [*TIMM[base]]


def test_mobilenet_v3_squeezes_to_a_quarter_at_every_width() -> None:
    for width in WIDTHS:
        arch = load_architecture(f"mobilenet_v3_large@{width}")
        blocks = [b for stage in arch.stages for b in stage if b.squeezes]
        assert all(b.se_channels == round_channels(b.hidden_channels / 4) for b in blocks)


def test_mnasnet_140_has_the_published_parameters() -> None:
    # timm's mnasnet_140: 7.12 M parameters and 0.59 G multiply-adds
    found = cost(load_architecture("mnasnet_b1@1.4"))
    assert found.params == 7_115_728
    assert found.macs / 1e6 == pytest.approx(588.8, abs=0.05)


@pytest.mark.parametrize(("source", "name", "macs", "params"), PRINTED)
def test_costs_are_what_the_authors_print(
    source: str, name: str, macs: float, params: float | None
) -> None:
    found = cost(load_architecture(name))
    assert found.macs / 1e6 == pytest.approx(macs, rel=0.025), source
    assert params is None or found.params / 1e6 == pytest.approx(params, rel=0.02, abs=0.05), source


@pytest.mark.skipif(not NETWORKS.is_file(), reason="needs the published measurements")
@pytest.mark.parametrize(
    ("family", "base"), [("MobileNetV2-", "mobilenet_v2"), ("MnasNet-A1-", "mnasnet_a1")]
)
def test_scaled_networks_are_those_of_the_published_latencies(family: str, base: str) -> None:
    records = json.loads(NETWORKS.read_text(encoding="utf-8"))
    checked = 0
    for record in records:
        _, _, rest = record["name"].partition(family)
        width, _, side = rest.partition("-")
        if not side.isdigit():
            continue
        scaled = load_architecture(f"{base}@{float(width)}-{side}")
        channels = [b.out_channels for stage in scaled.stages for b in stage]
        assert channels == [block["cout"] for block in record["blocks"]], record["name"]
        assert scaled.stem[0].out_channels == record["stem"][0]
        assert scaled.head[0].out_channels == record["head"][0][2], record["name"]
        assert cost(scaled).params / 1e6 == pytest.approx(record["params_m"], abs=0.0006)
        assert cost(scaled).macs / 1e6 == pytest.approx(record["macs_m"], abs=0.006)
        checked += 1
    assert checked >= 17


@pytest.mark.parametrize(("space", "fixed"), [("mnasnet_b0", False), ("mobilenetv3", True)])
def test_what_a_space_holds_scales_like_its_family(space: str, fixed: bool) -> None:
    found = load_space(space)
    arch = found.decode_row(found.sample_matrix(np.random.default_rng(0), 1)[0])
    assert arch.fixed_features is fixed
    assert load_architecture(found.baseline).fixed_features is fixed
