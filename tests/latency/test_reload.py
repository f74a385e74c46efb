"""Loading weights again: nothing for small networks, all of them for large ones, in every sum."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import BadFile, BadValue
from nas.latency.file import load_table, write_table
from nas.latency.reload import WeightReload, megabytes
from nas.latency.table import LatencyTable
from nas.network.cost import cost, cost_of
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.pruning.proposals import latency_meter
from nas.searching.evaluators.table import create
from nas.searching.problem import Candidates
from nas.space.file import load_space

RELOAD = WeightReload(fits_mb=1.0, misses_mb=3.0, ms_per_mb=0.1)


@pytest.fixture
def table() -> LatencyTable:
    """A table of which a network of two million weights of 4 bytes has outgrown the cache."""
    return replace(load_table("pixel1"), reload=replace(RELOAD, fits_mb=15.0, misses_mb=20.0))


def test_what_fits_is_free_and_what_does_not_is_loaded_whole() -> None:
    found = RELOAD.ms([0.0, 1.0, 1.5, 2.0, 3.0, 10.0])
    assert found == pytest.approx([0, 0, 0.1 * 1.5 / 4, 0.1 * 2 / 2, 0.1 * 3, 0.1 * 10])


@pytest.mark.parametrize(("dtype", "size"), [("fp32", 4.0), ("int8", 1.0), ("fp16", 2.0)])
def test_the_size_of_a_weight_is_that_of_its_dtype(dtype: str, size: float) -> None:
    assert megabytes(1e6, dtype) == pytest.approx(size)


def test_a_cache_that_misses_before_it_is_full_is_refused() -> None:
    with pytest.raises(BadValue, match="fits_mb < misses_mb"):
        WeightReload(fits_mb=2.0, misses_mb=2.0, ms_per_mb=0.1)


def test_a_network_pays_once_for_all_its_weights(table: LatencyTable) -> None:
    small, large = load_architecture("mobilenet_v3_small"), load_architecture("mobilenet_v3_large")
    before = replace(table, reload=None)
    sizes = [4e-6 * cost(arch).params for arch in (small, large)]
    assert sizes[0] < 15 < 20 < sizes[1]
    assert table.predict(small).ms == before.predict(small).ms
    more = table.predict(large).ms - before.predict(large).ms
    assert more == pytest.approx(0.1 * sizes[1], abs=2e-6)
    assert cost(large).params == sum(cost_of(unit).params for unit in lower(large))


def test_every_sum_over_units_is_the_same(table: LatencyTable) -> None:
    space = load_space("mobilenetv3")
    rows = space.sample_matrix(np.random.default_rng(0), 60)
    archs = space.decode_rows(rows)
    one = [table.predict(arch).ms for arch in archs]
    assert one != [replace(table, reload=None).predict(arch).ms for arch in archs]
    assert table.over(space)(rows).tolist() == one
    candidates = Candidates(space=space, picks=rows)
    for confidence in (0.0, 0.9):
        evaluator = create(space, table=table, allow_extrapolation=True, confidence=confidence)
        assert evaluator(candidates)["latency_ms"].tolist() == one
    meter = latency_meter(table)
    assert [meter(arch) for arch in archs] == pytest.approx(one, abs=1e-9)


def test_a_table_is_named_by_it_too(table: LatencyTable) -> None:
    assert table.inputs(())["reload"]["ms_per_mb"] == 0.1
    assert "reload" not in replace(table, reload=None).inputs(())


def test_it_is_kept_in_a_file(table: LatencyTable, tmp_path: Path) -> None:
    write_table(table, tmp_path / "t.yaml")
    assert load_table(tmp_path / "t.yaml").reload == table.reload
    text = (tmp_path / "t.yaml").read_text(encoding="utf-8")
    (tmp_path / "t.yaml").write_text(text.replace("misses_mb: 20", "misses_mb: 2"))
    with pytest.raises(BadFile, match="fits_mb < misses_mb"):
        load_table(tmp_path / "t.yaml")
