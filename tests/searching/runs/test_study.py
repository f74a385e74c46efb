"""The journal as an Optuna study: nothing is lost or reversed."""

from pathlib import Path

import numpy as np
import pytest
from small_search import search, small

from nas.core.errors import NasError, RunError
from nas.searching.runs.study import to_study

optuna = pytest.importorskip("optuna")


def test_a_study_holds_every_trial(tmp_path: Path) -> None:
    run = search(trials=25, strategy="random", seed_arch="efficientnet_b0",
                 limit="latency_ms<=120", out=tmp_path / "run")  # fmt: skip
    path = tmp_path / "study.log"
    assert to_study(tmp_path / "run", str(path), name="mine") == 25
    study = optuna.load_study(study_name="mine", storage=_storage(path))
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["top1_proxy", "latency_ms"]
    assert len(study.trials) == 25
    ok = run.trials.ok
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert len(done) == ok.sum() == 24
    best = max(t.values[0] for t in done)
    assert run.best is not None
    assert best == run.best.accuracy
    assert study.trials[1].params == run.setup.space.unpack(run.trials.picks[1])
    assert study.trials[1].user_attrs["macs"] == run.trials.metrics["macs"][1]
    front = {trial.number for trial in study.best_trials}
    assert front == set(run.front.tolist())


def test_a_study_may_hold_the_front_and_a_sample(tmp_path: Path) -> None:
    run = search(trials=200, strategy="random", out=tmp_path / "run")
    path = tmp_path / "study.log"
    count = to_study(tmp_path / "run", str(path), name="mine", most=20)
    study = optuna.load_study(study_name="mine", storage=_storage(path))
    assert len(study.trials) == count <= 20 + len(run.front)
    front = {trial.user_attrs["trial"] for trial in study.best_trials}
    assert front == set(run.front.tolist())
    kept = [trial.user_attrs["trial"] for trial in study.trials]
    assert kept == sorted(kept)
    assert np.diff(kept).max() <= 11


def test_a_violated_limit_has_a_positive_constraint_value(tmp_path: Path, fakes_path: Path) -> None:
    config = small(space=str(fakes_path / "tiny.yaml"), evaluator="fakes.plain",
                          limit=("top1>=0.55",), allow_extrapolation=True, trials=20,
                          strategy="random")  # fmt: skip
    run = search(config, out=tmp_path / "run")
    assert 0 < run.trials.ok.sum() < 20
    path = tmp_path / "study.log"
    to_study(tmp_path / "run", str(path), name="mine")
    study = optuna.load_study(study_name="mine", storage=_storage(path))
    kept = [trial.constraints["top1>=0.55"] <= 0 for trial in study.trials]
    assert kept == run.trials.ok.tolist()
    assert {trial.number for trial in study.best_trials} == set(run.front.tolist())


def test_a_database_holds_the_same_and_several_studies(tmp_path: Path) -> None:
    run = search(trials=4, strategy="random", out=tmp_path / "run")
    url = f"sqlite:///{tmp_path / 'study.db'}"
    to_study(tmp_path / "run", url, name="mine")
    found = optuna.load_study(study_name="mine", storage=url).trials
    assert [t.values[0] for t in found] == run.trials.metrics["top1_proxy"].tolist()
    with pytest.raises(NasError, match="has a study 'mine' already; give another `name`"):
        to_study(tmp_path / "run", url, name="mine")
    assert to_study(tmp_path / "run", url, name="other") == 4


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    search(trials=5, strategy="random", out=tmp_path / "run")
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(NasError, match="it exists already; give another `storage`"):
        to_study(tmp_path / "run", str(tmp_path / "thesis.tex"), name="mine")
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_folder_that_is_no_run_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no run\.yaml"):
        to_study(tmp_path, "sqlite:///x.db", name="mine")


@pytest.mark.parametrize("url", ["sqlite:////proc/nowhere/study.db", "", "x://y"])
def test_a_storage_that_cannot_be_opened_is_reported(tmp_path: Path, url: str) -> None:
    search(trials=5, strategy="random", out=tmp_path / "run")
    with pytest.raises(NasError, match=r"cannot (open storage|be written)") as caught:
        to_study(tmp_path / "run", url, name="mine")
    assert "\n" not in str(caught.value)


def _storage(path: Path) -> object:
    backend = pytest.importorskip("optuna.storages.journal").JournalFileBackend
    return optuna.storages.JournalStorage(backend(str(path)))
