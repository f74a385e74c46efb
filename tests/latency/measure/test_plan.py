"""Plans: complete for predictions, and disjoint from validation."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from nas.core.data import bundled
from nas.core.errors import BadFile
from nas.latency.measure.plan import (
    CORRECTION_NETWORKS,
    RELATIVES,
    MeasuringJob,
    Plan,
    from_mapping,
    network_job,
    plan_check,
    plan_networks,
    plan_space,
    plan_units,
    plan_validation,
    scaled_to,
    small_zoo,
    to_mapping,
)
from nas.latency.measure.probes import probes
from nas.latency.measure.references import REFERENCES, networks_of, references_for
from nas.latency.measure.samples import (
    CORRECTION,
    FIXED,
    PROBE,
    REFERENCE,
    ROLES,
    UNIT,
    VALIDATION,
)
from nas.network.cost import cost
from nas.network.lowering import lower, lower_block
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.space.file import load_space
from nas.space.space import Space


def _known(plan: Plan) -> frozenset[str]:
    return frozenset(job.name.rpartition(" ")[2] for job in plan.of(CORRECTION))


@pytest.mark.parametrize("name", ["mnasnet_b0", "mobilenetv3"])
def test_every_unit_of_the_space_and_of_the_small_zoo_is_planned_once(name: str) -> None:
    space = load_space(name)
    plan = plan_space(space)
    planned = [job.name for job in plan.of(UNIT, PROBE)]
    assert len(planned) == len(set(planned))
    rows = space.sample_matrix(np.random.default_rng(9), 200)
    archs = [space.decode_row(row) for row in rows] + list(small_zoo().values())
    units = {job.name for job in plan.of(UNIT)}
    assert {unit.key for arch in archs for unit in lower(arch)} <= units


def test_of_a_space_with_too_many_units_those_of_its_correction_networks_are_planned() -> None:
    plan = plan_space(load_space("mbconv"))
    units = {job.name for job in plan.of(UNIT)}
    assert len(units) < 1_500
    drawn = {unit.key for job in plan.of(CORRECTION) for unit in job.units}
    known = {unit.key for arch in small_zoo().values() for unit in lower(arch)}
    assert drawn | known <= units
    assert len(units - drawn - known) > 200  # of further networks, for the operator model


def test_the_references_are_first_and_every_job_has_a_role(b0_plan: Plan) -> None:
    roles = [job.role for job in b0_plan.jobs]
    assert set(roles) == set(ROLES) - {VALIDATION}
    assert roles[: len(REFERENCES)] == [REFERENCE] * len(REFERENCES)
    assert Counter(roles)[REFERENCE] == len(REFERENCES) > 1
    assert Counter(roles)[CORRECTION] == CORRECTION_NETWORKS + len(RELATIVES)
    for name, job in zip(REFERENCES, b0_plan.of(REFERENCE), strict=True):
        assert job.name == name
        arch = load_architecture(name.removesuffix(" at 192"))
        assert job.macs == cost(scale_resolution(arch, 192)).macs
    assert all(job.name == job.units[0].key for job in b0_plan.of(UNIT, PROBE, FIXED))
    assert all(len(job.units) == 1 for job in b0_plan.of(UNIT, PROBE, FIXED))
    assert [job.macs for job in b0_plan.of(FIXED)] == [1]


def test_small_inputs_are_measured_beside_small_references_and_relatives(tiny: Space) -> None:
    plan, side = plan_space(tiny), max(tiny.resolutions)
    assert [job.name for job in plan.of(REFERENCE)] == list(references_for(side))
    assert len(references_for(side)) == len(REFERENCES)
    widest = {job.units[0].in_shape[1] for job in plan.of(REFERENCE, CORRECTION)}
    assert max(widest) <= side * 240 / 224
    assert {unit.in_shape[1] for job in plan.of(PROBE) for unit in job.units} <= set(range(35))
    assert references_for(224) == REFERENCES == references_for(129)
    for name, arch in networks_of(references_for(64)).items():
        assert (name.endswith(" at 64"), arch.resolution) == (True, 64)


def test_networks_for_the_correction_are_of_the_space_and_relatives_of_the_zoo_by_fingerprint(
    tiny: Space, all_rows: np.ndarray
) -> None:
    there = {tiny.decode_row(row).fingerprint for row in all_rows}
    side = max(tiny.resolutions)
    relatives = {scaled_to(load_architecture(name), side).fingerprint for name in RELATIVES}
    assert not relatives & there
    assert relatives < _known(plan_space(tiny)) <= there | relatives
    assert len(_known(plan_space(tiny, networks=10))) <= 10 + len(relatives)


@pytest.mark.parametrize("side", [64, 224])
def test_references_relatives_and_the_zoo_have_nothing_in_common(side: int) -> None:
    relatives = {scaled_to(load_architecture(name), side).fingerprint for name in RELATIVES}
    zoo = {arch.fingerprint for arch in small_zoo(side).values()}
    references = {arch.fingerprint for arch in networks_of(references_for(side)).values()}
    assert len(relatives | zoo | references) == len(relatives) + len(zoo) + len(references)


def test_the_same_seed_gives_the_same_plan(tiny: Space) -> None:
    one, same, other = plan_space(tiny), plan_space(tiny), plan_space(tiny, seed=1)
    assert one == same != other
    assert _known(one) != _known(other)
    assert plan_validation(tiny, networks=9) == plan_validation(tiny, networks=9)
    assert plan_validation(tiny, networks=9) != plan_validation(tiny, networks=9, seed=1)


def test_a_plan_survives_a_file(b0_plan: Plan, tiny: Space) -> None:
    for plan in (b0_plan, plan_space(tiny), plan_validation(tiny, networks=5)):
        again = from_mapping(json.loads(json.dumps(to_mapping(plan))), source="x")
        assert again == plan
        assert to_mapping(again) == to_mapping(plan)
        for job, same in zip(plan.jobs, again.jobs, strict=True):
            assert [unit.key for unit in same.units] == [unit.key for unit in job.units]


def test_a_block_that_is_none_is_named(tiny: Space) -> None:
    content = to_mapping(plan_units("few", probes(np.random.default_rng(0), 2)))
    content["jobs"][-1]["blocks"][0]["kernel"] = "large"
    with pytest.raises(BadFile, match=r"a bundle: .*kernel"):
        from_mapping(content, source="a bundle")


def test_validation_networks_are_new_distinct_and_come_with_the_zoo(tiny: Space) -> None:
    known = _known(plan_space(tiny))
    plan = plan_validation(tiny, networks=50, known=known)
    networks = plan.of(VALIDATION)
    assert len(networks) == 50 + len(small_zoo())
    assert len({job.name for job in networks}) == len(networks)
    assert {job.name for job in networks[50:]} == set(small_zoo())
    ours = {_keys(job) for job in networks[:50]}
    assert len(ours) == 50
    assert not ours & {_keys(job) for job in plan_space(tiny).of(CORRECTION)}


def _keys(job: MeasuringJob) -> tuple[str, ...]:
    return tuple(unit.key for unit in job.units)


def test_a_zoo_network_that_was_fitted_on_is_not_validated_on(tiny: Space) -> None:
    b0 = small_zoo(max(tiny.resolutions))["efficientnet_b0"]
    plan = plan_validation(tiny, networks=1, known=frozenset([b0.fingerprint]))
    names = {job.name for job in plan.jobs}
    assert "efficientnet_b0" not in names
    assert "efficientnet_b1" in names


def test_a_space_with_fewer_networks_than_asked_for_gives_those_it_has(
    tiny: Space, all_rows: np.ndarray
) -> None:
    every = [tiny.decode_row(row).fingerprint for row in all_rows]
    left = set(every[:3])
    plan = plan_validation(tiny, networks=40, known=frozenset(every) - left)
    assert len(plan.of(VALIDATION)) <= 3 + len(small_zoo())


def test_the_small_zoo_is_what_has_at_most_a_billion_macs() -> None:
    small = small_zoo()
    for name in bundled("architectures"):
        assert (name in small) == (cost(load_architecture(name)).macs <= 1_000_000_000)


def test_networks_without_a_space_are_fitted_on_themselves_and_the_zoo(tiny: Space) -> None:
    archs = [tiny.decode_row(row) for row in tiny.sample_matrix(np.random.default_rng(0), 2)]
    plan = plan_networks("two", archs)
    everyone = [*archs, *small_zoo(max(tiny.resolutions)).values()]
    assert _known(plan) == {arch.fingerprint for arch in everyone}
    assert {job.name for job in plan.of(UNIT)} == {u.key for a in everyone for u in lower(a)}


def test_a_check_measures_networks_by_their_names() -> None:
    names = ("one", "", "two", "one")
    archs = [replace(load_architecture("mobilenet_v3_small"), name=name) for name in names]
    networks = plan_check("front", archs).jobs[len(REFERENCES) :]
    wanted = ["one", archs[1].fingerprint, "two", "one (2)"]
    assert [job.name for job in networks] == wanted
    assert {job.role for job in networks} == {VALIDATION}
    assert plan_check("front", archs).of(REFERENCE) == plan_units("few", ()).jobs


def test_a_network_is_one_job_of_all_its_units() -> None:
    arch = load_architecture("mobilenet_v3_small")
    job = network_job(arch, "small", VALIDATION)
    assert (job.units, job.macs) == (lower(arch), cost(arch).macs)


def test_probes_are_random_units_of_every_kind_within_bounds() -> None:
    units = probes(np.random.default_rng(0), 400)
    assert units == probes(np.random.default_rng(0), 400)
    assert units[:5] != probes(np.random.default_rng(1), 5)
    blocks = [unit.block for unit in units]
    assert {block.kind for block in blocks} == {"mbconv", "separable", "conv", "linear"}
    assert {block.kernel for block in blocks if block.kind == "mbconv"} == {3, 5, 7}
    assert {block.act for block in blocks} >= {"relu", "relu6", "swish", "hswish"}
    assert any(block.out_channels % 8 for block in blocks)
    assert {unit.shortcut for unit in units} >= {"identity", "none"}
    for unit in units:
        widest = max(unit.block.hidden_channels, unit.block.in_channels, unit.block.out_channels)
        assert widest <= 1600
        assert widest * unit.in_shape[1] ** 2 <= 1_000_000
        assert lower_block(unit.block, unit.in_shape).key == unit.key


@pytest.mark.parametrize("name", ["ssdlite:mobilenet_v3_small@96", "yolo:mobilenet_v3_small@96"])
def test_the_plan_of_a_detector_survives_a_file(name: str) -> None:
    arch = load_architecture(name)
    plan = plan_networks("mine", [arch])
    again = from_mapping(json.loads(json.dumps(to_mapping(plan))), source="plan")
    assert again.jobs == from_mapping(to_mapping(again), source="plan").jobs
    (job,) = (job for job in again.jobs if job.name.endswith(arch.fingerprint))
    assert [unit.key for unit in job.units] == [unit.key for unit in lower(arch)]
    planned = {job.name for job in again.of(UNIT)}
    assert {unit.key for unit in lower(arch)} <= planned
