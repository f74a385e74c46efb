"""Blocks that are lowered together give the same as one by one."""

import numpy as np

from nas.latency.file import load_table
from nas.latency.keys import KeyIndex
from nas.latency.predictor import counts_of
from nas.latency.table import UnitTable
from nas.network.arrays import NUMBERS, BlockArrays, lower_arrays, unit_at
from nas.network.blocks import Block
from nas.network.cost import cost_of
from nas.network.layers import Unit
from nas.network.lowering import kind_of, kinds_of_blocks, lower_block

MEASURED = "epyc_genoa_onnxruntime_1t_fp32_mobilenetv3"
KINDS = [kind for kind in kinds_of_blocks() if kind_of(kind).in_spaces]
"""The kinds of blocks in spaces, which are lowered many at once."""
SIDES = np.array([1, 7, 14, 14, 14, 15, 112])


def _blocks(kind: str, **fields: str | int) -> BlockArrays:
    """Return blocks with and without expansion, squeeze-and-excitation and a shortcut."""
    values = {
        "in_channels": np.array([8, 16, 16, 24, 30, 40, 3]),
        "out_channels": np.array([8, 16, 24, 24, 40, 40, 32]),
        "hidden_channels": np.array([8, 64, 16, 72, 30, 240, 9]),
        "kernel": np.array([3, 5, 3, 1, 3, 7, 3]),
        "se_channels": np.array([0, 4, 0, 8, 0, 64, 0]),
    }
    texts = {"act": "relu", "se_act": "relu", "gate": "hsigmoid", "skip": "identity", "stride": 1}
    if kind == "pool":
        values["out_channels"] = values["in_channels"]
    return BlockArrays.of({"kind": kind, **values, **texts, **fields}, len(SIDES))


def _units(kind: str, **fields: str | int) -> list[tuple[Unit, Unit, int]]:
    """Return single units, the units with which each was lowered, and its place among these."""
    blocks, found = _blocks(kind, **fields), []
    sides = np.ones_like(SIDES) if kind == "linear" else SIDES
    common = {"kind": kind, "act": blocks.act, "se_act": blocks.se_act, "gate": blocks.gate}
    for places, units in lower_arrays(blocks, sides):
        for i, place in enumerate(places.tolist()):
            numbers = {name: int(getattr(blocks, name)[place]) for name in NUMBERS}
            block = Block(**common, **numbers, stride=blocks.stride, skip=blocks.skip)
            side = int(sides[place])
            found.append((lower_block(block, (block.in_channels, side, side)), units, i))
    return found


EVERY = [
    unit
    for kind in KINDS
    for stride in (1, 2)
    for skip in ("identity", "pool", "none")
    for unit in _units(kind, stride=stride, skip=skip)
]


def _at(value: object, place: int) -> object:
    return np.asarray(value).item() if np.ndim(value) == 0 else np.asarray(value)[place].item()


def test_every_block_is_lowered_once() -> None:
    assert len(EVERY) == len(KINDS) * 2 * 3 * len(SIDES)
    assert len({id(units) for _, units, _ in EVERY}) < len(EVERY)


def test_units_are_those_of_single_blocks() -> None:
    assert all(unit_at(units, place) == one for one, units, place in EVERY)


def test_costs_and_counts_are_those_of_single_blocks() -> None:
    for one, units, place in EVERY:
        many, single = cost_of(units), cost_of(one)
        for name in ("macs", "params", "activations"):
            assert _at(getattr(many, name), place) == getattr(single, name)
        found = {name: _at(count, place) for name, count in counts_of(units).items()}
        assert found == {name: int(count) for name, count in counts_of(one).items()}


def test_latencies_and_limits_are_those_of_single_units() -> None:
    for table in map(load_table, ("pixel1", MEASURED)):
        of_many = UnitTable(table)
        for one, units, place in EVERY:
            places = of_many.locate(units)
            assert of_many.ms(units, places)[place] == table.unit_ms(one)
            beyond = [name for is_so, name in of_many.beyond(units, places) if is_so[place]]
            assert dict.fromkeys(beyond) == dict.fromkeys(table.beyond(one))


def test_keys_are_found() -> None:
    keys = [one.key for one, _, _ in EVERY]
    index = KeyIndex(keys[::2])
    for one, units, place in EVERY:
        found = int(index.find(units)[place])
        assert (found >= 0) == (one.key in keys[::2])
        assert found < 0 or keys[::2][found] == one.key
