"""How much of a space a table of measured units covers, and how a search reports it."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from nas import search
from nas.core.errors import NasError
from nas.latency.coverage import MOST, Coverage, check_coverage, coverage, coverage_text
from nas.latency.file import load_table, write_table
from nas.latency.table import LatencyTable
from nas.space.file import load_space
from nas.space.lookup import distinct_units
from nas.space.space import Space

SPACE = load_space("mobilenetv3")
TABLE = load_table("epyc_genoa_onnxruntime_1t_fp32_mobilenetv3")
OTHER = "epyc_genoa_onnxruntime_1t_fp32_mnasnet_b0"


def test_a_table_covers_the_space_that_it_was_measured_for() -> None:
    found = coverage(TABLE, SPACE)
    assert found == Coverage(networks=64, units=0.0, latency=0.0)
    assert coverage_text(found, TABLE, SPACE) == ""
    assert coverage(load_table("pixel1"), SPACE).latency == 0.0


def test_shares_are_those_of_random_networks() -> None:
    kept = {k: v for i, (k, v) in enumerate(TABLE.entries.items()) if i % 4}
    found = coverage(replace(TABLE, entries=kept), SPACE)
    assert 0.1 < found.units < 0.4
    assert 0.1 < found.latency < 0.4
    far = coverage(load_table(OTHER), SPACE)
    assert far.units > MOST
    assert far.latency > MOST


def test_a_refusal_names_shares_and_the_way_out() -> None:
    far = coverage(load_table(OTHER), SPACE)
    text = coverage_text(far, load_table(OTHER), SPACE)
    with pytest.raises(
        NasError, match=r"--space 'my space.yaml' --out table.yaml, or search anyway"
    ):
        check_coverage(far, text, named="my space.yaml")
    assert text.startswith(f"latency table {OTHER}, measured for space mnasnet_b0, extrapolates ")
    assert "% of the latency of random networks of space mobilenetv3" in text


def test_a_table_that_models_most_units_of_its_own_space_is_searched(tmp_path: Path) -> None:
    assert TABLE.provenance is not None
    kept = dict(list(TABLE.entries.items())[:30])
    source = replace(TABLE.provenance, choices=SPACE.fingerprint)
    write_table(replace(TABLE, entries=kept, provenance=source), tmp_path / "t.yaml")
    table = load_table(tmp_path / "t.yaml")
    old = replace(table, provenance=TABLE.provenance)  # of another space of this name, perhaps
    write_table(old, tmp_path / "old.yaml")
    with pytest.raises(NasError, match="extrapolates"):
        _search(str(tmp_path / "old.yaml"), tmp_path / "other")
    found = coverage(table, SPACE)
    assert found.latency > MOST
    text = coverage_text(found, table, SPACE)
    assert text.startswith(f"latency table {TABLE.name} models ")
    assert text.endswith("of space mobilenetv3; the others were measured")
    _search(str(tmp_path / "t.yaml"), tmp_path / "run")


def _search(table: str, out: Path, *, allow: bool = False, trials: int = 20) -> None:
    search(
        space="mobilenetv3", latency_table=table, evaluator="surrogate", strategy="random",
        trials=trials, out=out, allow_extrapolation=allow,
    )  # fmt: skip


def test_a_search_over_most_of_another_space_asks_to_be_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nas")
    with pytest.raises(NasError, match=r"or search anyway with `allow_extrapolation`"):
        _search(OTHER, tmp_path / "run")
    assert not (tmp_path / "run" / "run.yaml").exists()
    _search(OTHER, tmp_path / "run", allow=True)
    assert any("measured for space mnasnet_b0, extrapolates" in line for line in caplog.messages)
    kept = json.loads((tmp_path / "run" / "env.json").read_text())["coverage"]
    assert kept["networks"] == 64
    assert kept["latency"] > MOST


def test_a_partly_extrapolated_space_is_reported_and_searched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nas")
    write_table(_without_some(TABLE, SPACE), tmp_path / "t.yaml")
    _search(str(tmp_path / "t.yaml"), tmp_path / "run")
    assert sum("of the latency of random networks" in line for line in caplog.messages) == 1


def _without_some(table: LatencyTable, space: Space) -> LatencyTable:
    """Return `table` without every fifth unit of `space`."""
    gone = set(list(distinct_units(space))[::5])
    return replace(table, entries={k: v for k, v in table.entries.items() if k not in gone})


def test_latency_that_decides_nothing_is_not_asked_about(tmp_path: Path) -> None:
    run = search(
        space="mobilenetv3", latency_table=OTHER, evaluator="surrogate", strategy="random",
        objective=("top1", "macs"), trials=20, out=tmp_path / "run",
    )  # fmt: skip
    assert run.solutions
    assert run.setup.coverage is None


def test_published_units_with_a_model_count_within_its_range() -> None:
    assert coverage(load_table("note10"), SPACE).latency == 0.0
    assert coverage(load_table("note10"), load_space("mbconv")).latency > 0.0  # swish, 7x7 SE
