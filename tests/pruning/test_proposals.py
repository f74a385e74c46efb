"""Proposals: the widest network of every group that saves a step, by brute force too."""

from dataclasses import replace

import pytest

from nas.core.errors import BadValue, MissingEntry, NasError, UnknownName
from nas.latency.file import load_table
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.pruning.channels import narrowed
from nas.pruning.netadapt import DEFAULT_KINDS
from nas.pruning.proposals import (
    Cuts,
    check_covered,
    latency_meter,
    macs_meter,
    narrowest,
    proposals,
    shortlist,
    widest,
)

PIXEL = load_table("pixel1")
SMALL = load_architecture("mobilenet_v3_small")
METER = latency_meter(PIXEL)


def cuts(arch: Architecture, multiple: int = 8, kinds: tuple[str, ...] = DEFAULT_KINDS) -> Cuts:
    return Cuts(origin=arch, kinds=kinds, multiple=multiple)


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_large", "efficientnet_b0"])
def test_meters_agree_with_table_and_cost(name: str) -> None:
    arch = load_architecture(name)
    assert METER(arch) == pytest.approx(PIXEL.predict(arch).ms, rel=1e-12)
    assert macs_meter()(arch) == cost(arch).macs


@pytest.mark.parametrize("multiple", [3, 8])
@pytest.mark.parametrize("share", [0.99, 0.93])
def test_every_proposal_is_the_widest_that_saves_the_step(multiple: int, share: float) -> None:
    own, within = cuts(SMALL, multiple), share * METER(SMALL)
    found = {p.group.name: p for p in proposals(SMALL, own, METER, within=within)}
    assert found
    for group in own.groups(SMALL):
        enough = []
        for width in range(multiple, group.width, multiple):
            try:
                small = narrowed(SMALL, group, width)
            except BadValue:
                continue
            if PIXEL.predict(small).ms <= within:
                enough.append(width)
        assert (found[group.name].width if group.name in found else None) == max(
            enough, default=None
        )


def test_latency_need_not_fall_with_every_channel() -> None:
    """The widest width that is fast enough is found beyond one that is not."""
    (group, *_) = cuts(SMALL, 1).groups(SMALL)
    odd = {13: 9.0, 12: 11.0, 11: 8.0}
    found = widest(
        SMALL, group, cuts(SMALL, 1), lambda arch: odd.get(arch.stem[0].out_channels, 12.0),
        within=10.0,
    )  # fmt: skip
    assert found is not None
    assert (found.width, found.was, found.cost) == (13, 16, 9.0)
    lower_one = widest(
        SMALL, group, cuts(SMALL, 1), lambda arch: odd.get(arch.stem[0].out_channels, 12.0),
        within=8.5,
    )  # fmt: skip
    assert lower_one is not None
    assert lower_one.width == 11


def test_a_step_that_no_group_can_save_is_halved() -> None:
    now = METER(SMALL)
    found = proposals(SMALL, cuts(SMALL), METER, within=0.3 * now)
    assert found
    assert all(0.3 * now < proposal.cost < now for proposal in found)
    assert len({p.group.name for p in found}) == len(found)


def test_nothing_is_proposed_where_nothing_is_left() -> None:
    own = cuts(SMALL)
    least = narrowest(SMALL, own)
    assert all(group.width <= 16 for group in own.groups(least))
    assert METER(least) < 0.2 * METER(SMALL)
    assert proposals(least, own, METER, within=0.5 * METER(least)) == ()


def test_only_the_kinds_asked_for_are_cut() -> None:
    found = proposals(SMALL, cuts(SMALL, kinds=("head",)), METER, within=0.99 * METER(SMALL))
    assert {proposal.group.kind for proposal in found} == {"head"}
    own = cuts(SMALL, kinds=("squeeze", "hidden"))
    assert {group.kind for group in own.groups(SMALL)} == {"squeeze", "hidden"}
    with pytest.raises(UnknownName, match="hidden"):
        cuts(SMALL, kinds=("hiden",))


def test_a_table_without_a_model_is_refused() -> None:
    with pytest.raises(NasError, match="has measured units only"):
        latency_meter(replace(PIXEL, model=None))


def test_a_unit_that_the_runtime_refused_is_not_proposed() -> None:
    wide = lower(narrowed(SMALL, cuts(SMALL).groups(SMALL)[-1], 1016))[-1]
    table = replace(PIXEL, lacks={wide.key: "refused"})
    group = cuts(SMALL).groups(SMALL)[-1]
    found = widest(SMALL, group, cuts(SMALL), latency_meter(table), within=METER(SMALL))
    assert found is not None
    assert found.width == 1008
    unit = lower(SMALL)[3]
    with pytest.raises(MissingEntry, match="kernel 5"):
        check_covered(replace(PIXEL, lacks={lower(SMALL)[4].key: "refused"}), SMALL)
    assert unit.key not in table.lacks


def test_a_network_of_narrow_layers_has_nothing_to_cut() -> None:
    stem = Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2)
    arch = Architecture(
        resolution=32, stem=(stem, replace(stem, in_channels=8)), stages=(), head=()
    )
    assert proposals(arch, cuts(arch), METER, within=0.0) == ()


@pytest.mark.parametrize("multiple", [1, 8])
def test_the_narrowest_network_is_at_the_minimum_everywhere(multiple: int) -> None:
    least = narrowest(SMALL, cuts(SMALL, multiple))
    assert not any(
        list(cuts(SMALL, multiple).narrower(least, g)) for g in cuts(least).groups(least)
    )
    assert cost(least).macs < 0.2 * cost(SMALL).macs


def test_promising_are_those_that_lose_least_for_what_they_save() -> None:
    before = METER(SMALL)
    found = proposals(SMALL, cuts(SMALL), METER, within=0.97 * before)[:3]
    saved = [before - one.cost for one in found]
    losses = [3 * saved[0], 1 * saved[1], 2 * saved[2]]
    assert shortlist(found, losses, before=before, count=2) == (found[1], found[2])
    assert shortlist(found, [saved[0], saved[1], saved[2]], before=before, count=1) == found[:1]
    assert shortlist(found, losses, before=before, count=0) == found
    assert shortlist(found, losses, before=before, count=9) == found
