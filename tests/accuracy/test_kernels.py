"""Kernels that the predictor has never seen: named, and with wider intervals, for each network."""

from dataclasses import replace

import numpy as np
import pytest

from nas.accuracy.feature_model import load_feature_model
from nas.accuracy.kernels import largest_kernel, largest_kernels
from nas.core.data import find, read_mapping
from nas.network.zoo import load_architecture
from nas.space.file import load_space, space_from_mapping
from nas.space.space import Space


@pytest.fixture(scope="module")
def space() -> Space:
    content = dict(read_mapping(find("search space", "mbconv", where="search_spaces")))
    content["defaults"] = {**content["defaults"], "kernel": [3, 5, 9]}
    return space_from_mapping(content)


def test_rows_have_the_kernels_of_their_networks(space: Space) -> None:
    for one in (space, load_space("mnasnet_b0")):
        rows = one.sample_matrix(np.random.default_rng(0), 60)
        wanted = [largest_kernel(arch) for arch in one.decode_rows(rows)]
        assert largest_kernels(one, rows).tolist() == wanted


def test_one_layer_of_a_larger_kernel_is_named_and_widens_the_interval() -> None:
    model, arch = load_feature_model(), load_architecture("mnasnet_b1")
    stages = list(arch.stages)
    stages[-1] = tuple(replace(block, kernel=9) for block in stages[-1])
    far = replace(arch, stages=tuple(stages))
    assert model.outside(arch) == ""
    assert model.outside(far).startswith("kernels beyond")
    known, unknown = model.predict([arch, far], family=False).deviation
    assert unknown > 2 * known


def test_rows_and_networks_have_equal_intervals(space: Space) -> None:
    model = load_feature_model()
    rows = space.sample_matrix(np.random.default_rng(0), 40)
    of_rows, of_networks = model.over(space)(rows), model.predict(space.decode_rows(rows))
    assert np.array_equal(of_rows.accuracy, of_networks.accuracy)
    assert np.array_equal(of_rows.deviation, of_networks.deviation)
    named = [bool(text) for text in model.over(space).beyond(rows)]
    assert named == [bool(model.outside(arch)) for arch in space.decode_rows(rows)]
    assert "kernels" in model.over(space).outside()
