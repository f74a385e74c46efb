"""Comparing a prediction with a measurement: at which speed, and with which notes."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from nas.core.errors import NasError
from nas.latency.file import load_table
from nas.latency.measure.compare import compare
from nas.latency.measure.plan import Plan, plan_check
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, measure_plan
from nas.latency.measure.samples import Samples
from nas.latency.measure.tabulate import tabulate
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.zoo import load_architecture

pytest.importorskip("scipy")

EXACT = Target(backend="fake:noise=0")
NAMES = ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v2")


class Measured(Protocol):
    """The type of the fixture `exact`."""

    samples: Samples


@pytest.fixture(scope="module")
def table(exact: Measured) -> LatencyTable:
    return tabulate(exact.samples, name="fake_cpu", version="0.1.0")


@pytest.fixture(scope="module")
def archs() -> list[Architecture]:
    """Return three networks, two of which have the same name."""
    return [replace(load_architecture(name), name=name) for name in NAMES]


@pytest.fixture(scope="module")
def plan(archs: list[Architecture]) -> Plan:
    return plan_check("run", archs)


def _measured(plan: Plan, path: Path, target: Target = EXACT) -> Samples:
    return measure_plan(plan, target, path, rounds=Rounds.of(2))[0]


def test_networks_are_compared_each_with_its_own_measurement(
    table: LatencyTable, plan: Plan, archs: list[Architecture], tmp_path: Path
) -> None:
    samples = _measured(plan, tmp_path / "s.jsonl")
    found = compare(table, plan, archs, samples, EXACT)
    assert [one.name for one in found] == list(NAMES)
    for one, arch in zip(found, archs, strict=True):
        job = plan.jobs[samples.references + archs.index(arch)]
        true = 1e3 * EXACT.create().open(EXACT.create().compile(job.units))()
        assert one.measured_ms == pytest.approx(true, rel=1e-5)
        assert one.predicted == table.predict(arch)
        assert one.record()["error"] == pytest.approx(one.predicted.ms / true - 1, abs=1e-5)
        assert abs(one.record()["error"]) < 0.05
        assert one.notes == ()


@pytest.mark.parametrize(
    ("then", "said"), [(0.5, "100 % slower"), (2.0, "50 % faster"), (1.01, "")]
)
def test_times_are_given_for_the_speed_at_which_the_table_was_measured(
    table: LatencyTable, plan: Plan, archs: list[Architecture], tmp_path: Path,
    then: float, said: str,
) -> None:  # fmt: skip
    assert table.provenance is not None
    usual = {name: then * ms for name, ms in table.provenance.reference_ms.items()}
    other = replace(table, provenance=replace(table.provenance, reference_ms=usual))
    samples = _measured(plan, tmp_path / "s.jsonl")
    now = compare(table, plan, archs, samples, EXACT)
    for one, same in zip(compare(other, plan, archs, samples, EXACT), now, strict=True):
        assert one.measured_ms == pytest.approx(then * same.measured_ms)
        assert one.measured_low_ms == pytest.approx(then * same.measured_low_ms)
        wanted = f"the machine is {said} now than when the table was measured; times are given"
        assert [note[: len(wanted)] for note in one.notes] == ([wanted] if said else [])


def test_what_makes_the_two_hard_to_compare_is_reported(
    table: LatencyTable, plan: Plan, archs: list[Architecture], tmp_path: Path
) -> None:
    samples = _measured(plan, tmp_path / "s.jsonl")
    other = replace(table, provenance=None, threads=2, runtime="fake 0.9")
    (one, *_) = compare(other, plan, archs, samples, EXACT)
    device, runtime, threads = one.notes
    assert device.startswith(f"the table is of another device: {table.device}; this is ")
    assert runtime == "the table is for fake 0.9; this is fake 1"
    assert threads == "the table is for 2 thread(s) and fp32; this is 1 and fp32"
    (pixel, *_) = compare(load_table("pixel1"), plan, archs, samples, EXACT)
    assert not any("thread(s)" in note for note in pixel.notes)  # float32 there is fp32 here
    assert table.provenance is not None
    graphs = replace(table, provenance=replace(table.provenance, graph="QDQ 0"))
    (note,) = compare(graphs, plan, archs, samples, EXACT)[0].notes
    assert note == "the table is for fp32 graphs of another version than these"
    (own, *_) = compare(table, plan, archs, samples, EXACT)
    assert one.measured_ms == pytest.approx(own.measured_ms)  # the time as it was now


def test_networks_that_are_refused_are_left_out_and_all_of_them_are_an_error(
    table: LatencyTable, plan: Plan, archs: list[Architecture], tmp_path: Path
) -> None:
    only = replace(EXACT, backend="fake:noise=0,refuse=56x56x24 -> 28x28x40")
    samples = _measured(plan, tmp_path / "some.jsonl", only)
    assert [one.name for one in compare(table, plan, archs, samples, EXACT)] == list(NAMES[::2])
    none = replace(EXACT, backend="fake:noise=0,refuse=conv 224x224x3")
    samples = _measured(plan, tmp_path / "none.jsonl", none)
    with pytest.raises(NasError, match="nothing could be measured: fake refuses conv 224x224x3"):
        compare(table, plan, archs, samples, EXACT)


def test_what_a_table_lacks_is_measured_without_a_comparison(
    table: LatencyTable, plan: Plan, archs: list[Architecture], tmp_path: Path
) -> None:
    samples = _measured(plan, tmp_path / "s.jsonl")
    units = {unit.key for unit in lower(archs[0])}
    some = {key: entry for key, entry in table.entries.items() if key in units}
    assert table.provenance
    other = replace(table.provenance, reference_ms={"nobody": 1.0})
    few = replace(table, model=None, entries=some, provenance=other)
    found = compare(few, plan, archs, samples, EXACT)
    assert [one.predicted is None for one in found] == [False, True, False]
    assert (found[1].record()["latency_ms"], found[1].record()["error"]) == (None, None)
    assert found[1].measured_ms > 0
    assert any(note.startswith("without a prediction for ") for note in found[1].notes)
    for one in found:
        assert any(note.startswith("without the speed of the machine") for note in one.notes)
