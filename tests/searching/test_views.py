"""Searches in notebooks: data frames, tables and pictures, of live and stored runs."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_search import search

import nas
from nas.core.errors import NasError
from nas.network.zoo import load_architecture
from nas.searching.loop import Run
from nas.searching.problem import INFEASIBLE, STATUS_TYPE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run stored in a folder."""
    return search(trials=200, limit="latency_ms<=80", out=tmp_path_factory.mktemp("views") / "run")


def test_trials_as_a_data_frame(run: Run) -> None:
    pytest.importorskip("pandas")
    frame = run.to_pandas()
    assert frame.index.tolist() == list(range(200))
    assert frame["status"].tolist() == run.trials.status.tolist()
    assert np.array_equal(frame["macs"], run.trials.metrics["macs"])
    number = int(run.front[0])
    (solution,) = (s for s in run.solutions if s.trial == number)
    row = frame.loc[number]
    assert solution.picks is not None
    assert {k: v for k, v in row[list(run.setup.space.choices)].items() if v is not None} == dict(
        solution.picks
    )


def test_the_front_as_a_data_frame(run: Run) -> None:
    pytest.importorskip("pandas")
    frame = run.to_pandas(front=True)
    assert frame.index.tolist() == [s.name for s in run.solutions]
    assert frame["latency_ms"].tolist() == [s.latency.ms for s in run.solutions]
    assert frame["best"].sum() == 1


def test_a_stored_run_says_the_same(run: Run) -> None:
    pytest.importorskip("pandas")
    stored = nas.load_run(str(run.out))
    assert stored.to_pandas().equals(run.to_pandas())
    assert sorted(stored.front.tolist()) == sorted(run.front.tolist())
    kept, live = stored.to_pandas(front=True), run.to_pandas(front=True)
    for name in ("latency_ms", "macs", "top1_proxy", "trial", "fingerprint", "best"):
        assert kept[name].tolist() == live[name].tolist()
    assert stored._repr_html_() == run._repr_html_()


def test_a_damaged_front_is_reported_in_a_line(run: Run, tmp_path: Path) -> None:
    shutil.copytree(str(run.out), tmp_path / "run")
    path = tmp_path / "run" / "pareto.csv"
    path.write_text(path.read_text().replace(f",{run.solutions[0].macs},", ",many,", 1))
    with pytest.raises(NasError, match=r"pareto\.csv cannot be read, or is damaged: .*many"):
        _ = nas.load_run(str(tmp_path / "run")).solutions


def test_architectures_are_named_by_their_run(run: Run) -> None:
    assert run.best is not None
    assert nas.load_architecture(f"{run.out}:best") == run.best.arch
    assert nas.load_architecture("mobilenet_v2") == load_architecture("mobilenet_v2")


def test_a_run_is_shown_in_a_line_and_a_table(run: Run) -> None:
    text = f"<Run of mnasnet_b0 on pixel1: 200 trials, {len(run.front)} on the front, finished, in "
    assert repr(run).startswith(text)
    assert "200 of 200 trials" in repr(nas.load_run(str(run.out)))
    table = run._repr_html_()
    assert table.count("<tr>") == 1 + min(20, len(run.front))
    assert f"{run.solutions[0].latency.ms:.3g}" in table


@pytest.mark.parametrize(
    ("objective", "labels"),
    [
        (("max:top1_proxy", "min:macs"), [("macs", "top1_proxy (%)")]),
        (("min:macs",), [("trial", "macs")]),
        (
            ("max:top1_proxy", "min:latency_ms", "min:params"),
            [
                ("latency_ms", "top1_proxy (%)"),
                ("params", "top1_proxy (%)"),
                ("latency_ms", "params"),
            ],
        ),
    ],
)
def test_objectives_are_on_the_axes(objective: tuple[str, ...], labels: list[Any]) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    found = search(trials=60, objective=objective)
    axes = found.plot()
    assert [(a.get_xlabel(), a.get_ylabel()) for a in axes] == labels
    assert sorted(axes[0].lines[1].get_ydata()) == sorted(
        found.trials.metrics[labels[0][1].partition(" ")[0]][found.front]
        * (100 if "%" in labels[0][1] else 1)
    )
    pyplot.close("all")


def test_nothing_found_is_reported(run: Run) -> None:
    pytest.importorskip("matplotlib")
    status = np.full(len(run.trials), INFEASIBLE, dtype=STATUS_TYPE)
    trials = replace(run.trials, status=status)
    empty = replace(run, trials=trials, front=np.zeros(0, dtype=np.int64))
    with pytest.raises(NasError, match="no trial satisfied the constraints"):
        empty.plot()
    assert "0 solutions" in empty._repr_html_()


def test_the_version() -> None:
    assert nas.__version__.count(".") == 2
