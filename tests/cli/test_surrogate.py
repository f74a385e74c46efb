"""`nas surrogate fit`: from run folders to a model that a search can use."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.accuracy.predictor import load_accuracy_model
from nas.space.file import load_space

DATA = Path(__file__).parents[1] / "data"
TINY = str(DATA / "tiny.yaml")
SEARCH = (
    "search", "--space", TINY, "--evaluator", "fakes.plain", "--strategy", "random",
    "--allow-extrapolation", "--no-plot", "--json",
)  # fmt: skip


@pytest.mark.torch
@pytest.mark.usefixtures("brief")
def test_a_model_learned_from_two_runs_answers_in_a_search(nas: Callable, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    for seed in ("1", "2"):
        done = nas(*SEARCH, "--trials", "40", "--seed", seed, "--out", f"run{seed}")
        assert done.code == 0, done.err
    fitted = nas("surrogate", "fit", "run1", "run2", "--out", "my.npz", "--json")
    assert fitted.code == 0, fitted.err
    content = json.loads(fitted.out)
    assert content["space"] == "tiny"
    assert content["metric"] == "top1"
    assert 60 <= content["rows"] == content["held_out"]["rows"] <= 80
    assert content["held_out"]["tau"] > 0.8
    assert content["imitation"]["r2"] > 0.99
    model = load_accuracy_model(tmp_path / "my.npz", load_space(TINY))
    assert model.fingerprint == content["fingerprint"]
    words = list(SEARCH)
    words[words.index("fakes.plain")] = "surrogate:my.npz"
    found = nas(*words, "--trials", "200", "--out", "third")
    assert found.code == 0, found.err
    assert json.loads(found.out)["trials"] == 200
    again = nas("surrogate", "fit", "run1", "third", "--out", "mixed.npz")
    assert again.code == 2
    assert "run1 and third do not mix: their evaluator is" in again.err


def test_too_few_trials_and_a_wrong_name_are_one_line(nas: Callable) -> None:
    assert nas(*SEARCH, "--trials", "12", "--out", "run").code == 0
    few = nas("surrogate", "fit", "run", "--out", "my.npz")
    assert few.code == 2
    assert few.err.count("\n") == 1
    assert "12 different architectures with a top1 are too few to learn from" in few.err
    named = nas("surrogate", "fit", "run", "--out", "my.yaml")
    assert named.code == 2
    assert "--out my.yaml: the name of a model ends in .npz" in named.err
    absent = nas("surrogate", "fit", "nowhere", "--out", "my.npz")
    assert absent.code == 2
    assert "nowhere is not a run folder" in absent.err


def test_a_model_that_is_not_there_is_reported(nas: Callable) -> None:
    gone = nas("search", "--evaluator", "surrogate:gone.npz", "--trials", "1")
    assert gone.code == 2
    assert "gone.npz: no such file" in gone.err
