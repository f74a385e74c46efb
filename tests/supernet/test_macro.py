"""The space of NAS-Bench-Macro: its networks have the published costs."""

import json

import numpy as np
import pytest

from experiments.shared.folders import SHARED_DATA
from experiments.strategies.macro import FILE
from experiments.supernet.networks import HALF, load, picks_of, rows_of
from nas.searching.evaluators.costs import create
from nas.searching.problem import Candidates

PATH = SHARED_DATA / "nas_bench_macro" / FILE


def test_all_networks_cost_what_the_file_says() -> None:
    if not PATH.is_file():
        pytest.skip("needs nas_bench_macro")
    content = json.loads(PATH.read_text(encoding="utf-8"))
    names, space = sorted(content), load()
    assert len(names) == 3**8
    found = create(space)(Candidates(space=space, picks=rows_of(space, names)))
    assert found["params"].tolist() == [content[name]["params"] for name in names]
    assert found["macs"].tolist() == [content[name]["flops"] for name in names]


def test_the_narrow_space_has_the_same_choices() -> None:
    whole, half = load(), load(HALF)
    assert whole.choices == half.choices
    some = half.decode(picks_of("02112200"))
    assert [len(stage) for stage in some.stages] == [1, 1, 1, 1, 1, 1, 0, 0]
    assert np.array_equal(half.pack(picks_of("02112200")), whole.pack(picks_of("02112200")))
