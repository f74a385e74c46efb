"""The channels of an architecture that can be cut: by hand for known networks, and consistent."""

from dataclasses import replace

import pytest
from zoo import VARIED

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.pruning.channels import groups, narrowed
from nas.pruning.tracing import Group


def named(arch: Architecture, **options: bool) -> dict[str, Group]:
    return {group.name: group for group in groups(arch, **options)}


def places(group: Group) -> set[str]:
    return {place for place, name in group.fields if name == "out_channels"}


def test_a_separable_block_cuts_the_depthwise_filters_of_the_next_with_its_output() -> None:
    found = named(load_architecture("mobilenet_v1"))
    assert len(found) == 14  # the stem and 13 blocks; nothing is tied
    assert [group.width for group in found.values()] == [
        32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024
    ]  # fmt: skip
    stem = {
        (slot.weight, slot.axis) for slot in found["stem.0.out"].slots if "norm" not in slot.weight
    }
    assert stem == {
        ("stem.0.conv.weight", 0),
        ("stages.0.0.depthwise.weight", 0),
        ("stages.0.0.pointwise.weight", 1),
    }


def test_stages_of_mobilenet_v2_are_tied_by_their_shortcuts() -> None:
    found = named(load_architecture("mobilenet_v2"))
    assert len(found) == 25  # stem, head, 7 stages' bottlenecks, 16 expansions
    assert places(found["stages.3.0.out"]) == {f"stages.3.{i}" for i in range(4)}
    assert places(found["stages.4.0.out"]) == {f"stages.4.{i}" for i in range(3)}
    assert sum(group.kind == "hidden" for group in found.values()) == 16


def test_a_stem_is_tied_to_a_first_block_with_a_shortcut() -> None:
    large = named(load_architecture("mobilenet_v3_large"))
    assert places(large["stem.0.out"]) == {"stem.0", "stem.1"}
    assert large["stem.0.out"].kind == "stem"


def test_groups_of_mobilenet_v3_small_by_hand() -> None:
    found = named(load_architecture("mobilenet_v3_small"))
    assert {name: group.width for name, group in found.items() if group.kind != "hidden"} == {
        "stem.0.out": 16, "stages.0.0.out": 16, "stages.1.0.out": 24, "stages.2.0.out": 40,
        "stages.3.0.out": 48, "stages.4.0.out": 96, "head.0.out": 576, "head.2.out": 1024,
    }  # fmt: skip
    assert places(found["stages.2.0.out"]) == {"stages.2.0", "stages.2.1", "stages.2.2"}
    (follower,) = found["stem.0.out"].followers  # the first block has no expansion, but an SE
    assert (follower.group.name, follower.group.width, follower.share) == (
        "stages.0.0.squeeze", 8, 0.5
    )  # fmt: skip
    pooled = [slot.weight for slot in found["head.0.out"].slots if "norm" not in slot.weight]
    assert pooled == ["head.0.conv.weight", "head.2.linear.weight"]


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.parametrize("own_squeeze", [False, True])
def test_every_narrowed_zoo_member_has_the_same_layers(name: str, own_squeeze: bool) -> None:
    arch = load_architecture(name)
    before = lower(arch)
    for group in groups(arch, own_squeeze=own_squeeze):
        width = group.width - 1 if group.width - 1 not in (8, 16) else group.width - 3
        small = narrowed(arch, group, width)
        after = lower(small)
        assert [u.shortcut for u in after] == [u.shortcut for u in before]
        assert [[x.name for x in u.layers] for u in after] == [
            [x.name for x in u.layers] for u in before
        ]
        assert cost(small).params < cost(arch).params
        assert small.named_blocks()[-1][1].out_channels == 1000


def test_squeezes_keep_the_ratio_of_the_origin_over_many_small_cuts() -> None:
    arch = origin = load_architecture("mobilenet_v3_small")
    for width in range(568, 280, -8):
        (group,) = (g for g in groups(arch, origin=origin) if g.name == "stages.4.2.hidden")
        arch = narrowed(arch, group, width)
    assert arch.stages[4][2].hidden_channels == 288
    assert arch.stages[4][2].se_channels == 72  # as in the block with 288 channels


def test_squeezes_can_be_groups_of_their_own() -> None:
    found = named(load_architecture("mobilenet_v3_small"), own_squeeze=True)
    assert found["stages.4.2.squeeze"].width == 144
    assert not any(group.followers for group in found.values())
    assert len(found) == 18 + 9


def block(channels: tuple[int, int, int], **options: object) -> Block:
    inputs, hidden, outputs = channels
    return Block(
        kind="mbconv", in_channels=inputs, hidden_channels=hidden, out_channels=outputs,
        kernel=3, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def arch_of(*blocks: Block) -> Architecture:
    stem = Block(kind="conv", in_channels=3, out_channels=blocks[0].in_channels, kernel=3, stride=2)
    return Architecture(resolution=16, stem=(stem,), stages=(blocks,), head=())


def test_equal_channels_do_not_make_a_new_shortcut() -> None:
    arch = arch_of(block((16, 48, 24)), block((24, 48, 32)))
    small = narrowed(arch, named(arch)["stages.0.0.out"], 16)
    assert [unit.shortcut for unit in lower(small)] == ["none"] * 3
    assert small.stages[0][0].skip == "none"


def test_a_pooled_shortcut_ties_too() -> None:
    arch = arch_of(block((16, 48, 16), stride=2, skip="pool"), block((16, 48, 32)))
    assert places(named(arch)["stem.0.out"]) == {"stem.0", "stages.0.0"}


def test_an_expansion_cannot_become_as_wide_as_its_input() -> None:
    arch = arch_of(block((16, 48, 24)), block((24, 48, 32)))
    with pytest.raises(BadValue, match=r"stages\.0\.0: with 16 channels inside"):
        narrowed(arch, named(arch)["stages.0.0.hidden"], 16)
    assert narrowed(arch, named(arch)["stages.0.0.hidden"], 8).stages[0][0].hidden_channels == 8


def test_images_and_classes_are_never_cut() -> None:
    bare = arch_of(block((3, 3, 16)), block((16, 48, 32)))
    bare = replace(bare, stem=())
    assert set(named(bare)) == {"stages.0.0.out", "stages.0.1.hidden"}


def test_a_width_must_lie_within_the_group() -> None:
    arch = load_architecture("mobilenet_v1")
    group = groups(arch)[0]
    for width in (0, 33):
        with pytest.raises(BadValue, match=r"stem\.0\.out can have 1 to 32 channels"):
            narrowed(arch, group, width)
