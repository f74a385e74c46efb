"""`result.json`: the same figures as in memory, and errors of a damaged one."""

from pathlib import Path

import pytest
from small_search import search

from nas.core.errors import NasError
from nas.searching.runs.result import RESULT, read_result


def test_a_run_folder_says_what_the_run_says(tmp_path: Path) -> None:
    run = search(trials=100, strategy="random", out=tmp_path / "run")
    found = read_result(tmp_path / "run")
    assert (found.trials, found.metric, found.note) == (100, "top1_proxy", run.setup.note)
    assert found.hypervolume == run.hypervolume > 0
    assert found.reference_point == tuple(run.reference_point)
    assert run.baseline is not None
    assert found.baseline is not None
    assert found.baseline["latency_ms"] == run.baseline.latency.ms
    assert [row["name"] for row in found.known] == [solution.name for solution in run.known]
    assert any(row["published"] for row in found.known)


def test_an_earlier_run_has_none_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    assert read_result(tmp_path).hypervolume is None
    (tmp_path / RESULT).write_text('{"schema": 1, "trials": 1}')
    with pytest.raises(NasError, match=r"result\.json is damaged; restore the file"):
        read_result(tmp_path)
    (tmp_path / RESULT).write_text('{"schema": 1, "tri')
    with pytest.raises(NasError, match=r"result\.json, line 1.*resume the search"):
        read_result(tmp_path)
