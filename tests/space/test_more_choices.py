"""Strides and widths of the head as choices: counted and found again like everything else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.accuracy.feature_model import load_feature_model
from nas.accuracy.features import features
from nas.core.errors import BadFile
from nas.latency.file import load_table
from nas.network.cost import cost, cost_of
from nas.network.lowering import lower
from nas.space.file import space_from_mapping
from nas.space.lookup import Lookup
from nas.space.mapping import to_mapping
from nas.space.space import Space

CONTENT: dict[str, Any] = {
    "schema": 1,
    "name": "more",
    "resolution": [65, 97, 160],
    "stem": [{"kind": "conv", "width": [8, 16], "kernel": 3, "stride": 2}],
    "defaults": {"kind": "mbconv", "expansion": [1, 2.5], "kernel": [3, 5]},
    "stages": [
        {"width": [8, 16], "stride": [1, 2], "layers": [1, 2]},
        {"width": 24, "stride": 1, "layers": [0, 1], "se": [False, True]},
        {"width": [24, 32], "stride": [1, 2, 4], "layers": [1, 3], "per_layer": ["kernel"]},
        {"width": 32, "stride": 2, "layers": 2},
    ],
    "head": [
        {"kind": "conv", "width": [64, 96]},
        {"kind": "pool"},
        {"kind": "linear", "width": [40, 80]},
        {"kind": "linear", "width": 10, "act": "none"},
    ],
}


@pytest.fixture(scope="module")
def space() -> Space:
    return space_from_mapping(CONTENT)


def rows_of(space: Space, count: int = 150) -> Any:
    return space.sample_matrix(np.random.default_rng(1), count)


def test_they_are_choices(space: Space) -> None:
    names = list(space.choices)
    assert {"stage1_stride", "stage3_stride", "head1_width", "head3_width"} <= set(names)
    assert names[-2:] == ["head1_width", "head3_width"]
    assert space.choices["stage3_stride"] == (1, 2, 4)


def test_sums_are_those_of_the_networks(space: Space) -> None:
    rows = rows_of(space)
    found = Lookup(space, lambda unit: (cost_of(unit).macs, cost_of(unit).params))(rows)
    counted = [cost(arch) for arch in space.decode_rows(rows)]
    assert found.tolist() == [[one.macs, one.params] for one in counted]


def test_latency_is_that_of_the_networks(space: Space) -> None:
    table, rows = load_table("pixel1"), rows_of(space, 30)
    found = Lookup(space, lambda unit: (cost_of(unit).activations,))(rows)
    sums = [sum(cost_of(unit).activations for unit in lower(a)) for a in space.decode_rows(rows)]
    assert found[:, 0].tolist() == sums
    assert all(table.predict(arch).ms > 0 for arch in space.decode_rows(rows[:3]))


def test_networks_are_found_again(space: Space) -> None:
    rows = rows_of(space, 60)
    for row, arch in zip(rows, space.decode_rows(rows), strict=True):
        assert space.pack(space.encode(arch)).tolist() == row.tolist()


def test_the_size_counts_every_choice(space: Space) -> None:
    fixed = replace(space, stages=tuple(
        replace(row, options={**row.options, "stride": row.options["stride"][:1]})
        for row in space.stages
    ))  # fmt: skip
    assert space.size == fixed.size * 2 * 3


def test_features_are_those_of_the_networks(space: Space) -> None:
    rows = rows_of(space, 20)
    described = load_feature_model("published").over(space).described
    assert np.array_equal(described(rows), features(space.decode_rows(rows)))


def test_a_file_of_it_is_the_same_space(space: Space) -> None:
    again = space_from_mapping(to_mapping(space))
    assert again.fingerprint == space.fingerprint


def changed(**changes: Any) -> dict[str, Any]:
    return {**CONTENT, **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(stages=[{"stride": 2}]), "stages.0: width is missing: the output channels"),
        (changed(stem=[{"kind": "conv"}]), "stem.0: width is missing"),
        (
            changed(stages=[{"width": 8, "stride": [1, 2], "layers": [0, 1]}]),
            "a stage of stride 2 cannot have 0 layers",
        ),
        (
            changed(head=[{"kind": "pool"}, {"kind": "linear", "width": [10, 20]}]),
            "head.1: width of the last row is the number of classes",
        ),
        (
            changed(head={"one": CONTENT["head"]}),
            "width cannot be a choice here; give one value",
        ),
        (
            changed(stages=[{"width": 8, "stride": [1, 2], "kind": ["conv", "pool"]}]),
            "stride is a choice, so that pool and linear blocks cannot stand here",
        ),
        (changed(stem=[{"width": 8, "stride": [1, 2]}]), "stride cannot be a choice here"),
    ],
)
def test_what_cannot_be_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        space_from_mapping(content)


def test_a_width_among_the_defaults_is_enough() -> None:
    content = changed(defaults={"width": [8, 16]}, stages=[{"stride": 2}])
    assert space_from_mapping(content).choices["stage1_width"] == (8, 16)
