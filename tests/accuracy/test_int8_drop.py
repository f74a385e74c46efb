"""The accuracy loss of networks in int8, by their activations."""

from dataclasses import replace

import numpy as np
import pytest

from nas.accuracy.int8_drop import (
    KINDS,
    DropModel,
    channels_of,
    channels_of_network,
    load_drop_model,
    shares_of,
)
from nas.core.errors import BadValue
from nas.network.zoo import load_architecture
from nas.space.file import load_space
from nas.space.lookup import Lookup


def test_shares_are_those_of_known_networks() -> None:
    names = ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0")
    shares = shares_of(np.stack([channels_of_network(load_architecture(n)) for n in names]))
    relu6, small, b0 = (dict(zip(KINDS, row, strict=True)) for row in shares)
    assert relu6 == {"any": 1, "hswish": 0, "swish": 0, "se": 0}
    assert 0.8 < small["hswish"] < 1
    assert small["swish"] == 0
    assert b0["swish"] == 1
    assert b0["se"] > 0.9


def test_losses_and_deviations_add_up() -> None:
    some = {kind: 0.01 * (i + 1) for i, kind in enumerate(KINDS)}
    model = replace(load_drop_model(), drop=some, deviation={k: 2 * v for k, v in some.items()})
    drop, deviation = model(np.array([[100.0, 50.0, 0.0, 25.0]]))
    assert drop[0] == pytest.approx(0.01 + 0.5 * 0.02 + 0.25 * 0.04)
    assert deviation[0] == pytest.approx(2 * drop[0])


def test_swish_costs_more_than_relu() -> None:
    model = load_drop_model()
    v2, b0 = (model.of(load_architecture(n)) for n in ("mobilenet_v2", "efficientnet_b0"))
    assert 0.002 < v2[0] < 0.008  # published: 0.34 to 0.8 points
    assert b0[0] > v2[0]
    assert b0[1] > 3 * v2[1]


def test_sums_over_units_of_a_space_are_those_of_its_networks() -> None:
    space = load_space("mbconv_64")
    rows = space.sample_matrix(np.random.default_rng(0), 20)
    found = Lookup(space, channels_of)(rows)
    assert np.array_equal(found, [channels_of_network(arch) for arch in space.decode_rows(rows)])


def test_a_model_without_a_kind_is_refused() -> None:
    model = load_drop_model()
    with pytest.raises(BadValue, match="must have any, hswish, swish, se"):
        DropModel(
            schema=1,
            source="",
            note="",
            networks=1,
            drop={"any": 0.1},
            deviation=model.deviation,
            swish=model.swish,
        )
