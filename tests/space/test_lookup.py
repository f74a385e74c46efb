"""Look-up sums equal the costs of the decoded architectures."""

import pickle

import numpy as np
import pytest

from nas.latency.file import load_table
from nas.network.cost import cost, cost_of
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import Candidates
from nas.space.file import load_space
from nas.space.lookup import Embedding, Lookup, distinct_units
from nas.space.rows import coordinates
from nas.space.space import Space

SPACES = ("mnasnet_b0", "mobilenetv3", "mnasnet")
MEASURED = "epyc_genoa_onnxruntime_1t_fp32_mobilenetv3"


def _macs(units: Unit) -> tuple[int, ...]:
    return (cost_of(units).macs,)


@pytest.mark.parametrize("name", SPACES)
def test_sums_equal_the_costs_of_decoded_architectures(name: str) -> None:
    space = load_space(name)
    rows = space.sample_matrix(np.random.default_rng(5), 30)
    found = create_costs(space)(Candidates(space=space, picks=rows))
    for i, row in enumerate(rows):
        expected = cost(space.decode_row(row))
        assert found["macs"][i] == expected.macs
        assert found["params"][i] == expected.params
        assert found["activations"][i] == expected.activations


@pytest.mark.parametrize(
    ("name", "of"),
    [
        *((name, "pixel1") for name in (*SPACES, "mbconv")),
        ("mnasnet_b0", "pixel1_2018"),
        ("mobilenetv3", MEASURED),
    ],
)
def test_sums_equal_the_predicted_latency(name: str, of: str) -> None:
    space, table = load_space(name), load_table(of)
    rows = space.sample_matrix(np.random.default_rng(6), 20)
    expected = [table.predict(space.decode_row(row)).ms for row in rows]
    assert table.over(space)(rows).tolist() == expected


def test_sums_are_right_for_every_architecture_of_a_space(
    tiny: Space, all_rows: np.ndarray
) -> None:
    found = Lookup(tiny, _macs)(all_rows)[:, 0]
    assert found.tolist() == [cost(tiny.decode_row(row)).macs for row in all_rows]


def test_least_is_a_lower_bound(tiny: Space, all_rows: np.ndarray) -> None:
    lookup = Lookup(tiny, _macs)
    least = lookup.least()[0]
    assert 0 < least <= lookup(all_rows).min()


def test_several_values_are_summed_at_once(tiny: Space, all_rows: np.ndarray) -> None:
    both = Lookup(tiny, lambda units: (cost_of(units).macs, 1.0))(all_rows)
    assert both.shape == (len(all_rows), 2)
    layers = [sum(map(len, tiny.decode_row(row).stages)) for row in all_rows]
    assert both[:, 1].tolist() == [1 + n + 3 for n in layers]


def test_no_rows_give_no_sums(tiny: Space) -> None:
    assert Lookup(tiny, _macs)(np.zeros((0, len(tiny.columns)), np.uint8)).shape == (0, 1)


def test_a_pickled_lookup_gives_the_same_sums(tiny: Space, all_rows: np.ndarray) -> None:
    lookup = Lookup(tiny, _macs)
    assert np.array_equal(pickle.loads(pickle.dumps(lookup))(all_rows), lookup(all_rows))


def test_distinct_units_are_those_of_all_architectures(tiny: Space, all_rows: np.ndarray) -> None:
    found = distinct_units(tiny)
    units = [unit for row in all_rows for unit in lower(tiny.decode_row(row))]
    assert {unit.key: unit for unit in units} == dict(found)
    assert all(unit.key == key for key, unit in found.items())


@pytest.mark.parametrize("name", ["mbconv", "mobilenetv3"])
def test_embedding_is_a_line_per_active_choice_and_zeros(name: str) -> None:
    space = load_space(name)
    tables = [coordinates(column.values) for column in space.columns]
    rows = space.sample_matrix(np.random.default_rng(0), 20)
    active = space.active(rows)
    expected = [
        np.concatenate([t[i] * on for t, i, on in zip(tables, row, used, strict=True)])
        for row, used in zip(rows, active, strict=True)
    ]
    assert not active.all()
    assert (Embedding(space, tables)(rows) == expected).all()
