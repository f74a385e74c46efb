"""Messages of the command line about arguments of another kind than expected."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nas = Callable[..., Any]
TINY = Path(__file__).parents[1] / "data" / "tiny.yaml"


def refusal(nas: Nas, *words: str) -> str:
    """Return the one line of a command that is refused."""
    reply = nas(*words)
    assert (reply.code, reply.out, len(reply.err.splitlines())) == (2, "", 1), reply.err
    return str(reply.err)


@pytest.fixture(autouse=True)
def _training(nas: Nas) -> None:
    Path("run").mkdir()
    Path("run/train.yaml").write_text("schema: 1\n")
    Path("images/cat").mkdir(parents=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "images"), "images is a folder, not a search space; give the name of a space"),
        (("--space", "run"), "run is a training, not a search space; give the name of a space"),
        (("--space", "pixel1"), "pixel1 is a latency table, not a search space; give the name"),
        (("--space", "mobilenet_v2"), "mobilenet_v2 is an architecture, not a search space;"),
        (("--latency-table", "mobilenetv3"), "mobilenetv3 is a search space, not a latency table"),
        (("--latency-table", str(TINY)), "tiny.yaml is a search space, not a latency table; give"),
        (("--latency-table", "run"), "run is a training, not a latency table; give the name of a"),
    ],
)
def test_what_was_given_instead_is_named(nas: Nas, words: tuple[str, ...], message: str) -> None:
    assert message in refusal(nas, "search", *words)


def test_a_training_cannot_be_checked_as_a_run(nas: Nas) -> None:
    said = refusal(nas, "latency", "check", "run")
    assert "run is a training, not the run of a search; see: nas status run" in said
    assert "nas latency measure --arch run --out table.yaml" in said


@pytest.mark.torch
@pytest.mark.parametrize("data", ["images", "./images", "images,val=0.2"])
def test_a_folder_of_images_wants_the_name_of_its_reader(nas: Nas, data: str) -> None:
    pytest.importorskip("torch")
    said = refusal(nas, "train", "mobilenet_v3_small", "--data", data)
    assert "images is a folder; say what reads it, as in --data imagefolder:images" in said


def test_a_space_without_an_accuracy_model_is_pointed_to_trainings(nas: Nas) -> None:
    said = refusal(nas, "search", "--space", str(TINY), "--evaluator", "surrogate")
    assert "no accuracy model is bundled for space tiny" in said
    assert "--data imagefolder:/path --evaluator proxy" in said


def test_accuracies_in_per_cent_are_explained(nas: Nas) -> None:
    search = ("search", "--space", "mobilenetv3", "--trials", "100", "--no-plot", "--out", "found")
    said = refusal(nas, *search, "--limit", "top1>=75")
    assert "top1 is a fraction; give top1>=0.75 or top1>=75%" in said
    reply = nas(*search, "--limit", "top1>=60%", "--evaluator", "surrogate")
    assert reply.code == 0, reply.err
    assert "top1>=60%" in Path("found/run.yaml").read_text()


def test_costs_alone_need_no_table_that_covers_the_space(nas: Nas) -> None:
    search = ("search", "--space", str(TINY), "--evaluator", "costs", "--trials", "30")
    said = refusal(nas, *search)
    assert "evaluator costs knows no accuracy; say what to search for, as in --objective" in said
    counted = ("--objective", "max:macs", "--objective", "params", "--no-plot")
    reply = nas(*search, *counted, "--out", "a b")
    assert reply.code == 0, reply.err
    assert f"nas show {shlex.quote('a b:best')}, or" in reply.err
    assert "does not cover space tiny" in refusal(
        nas, *search, *counted, "--limit", "latency_ms<=9"
    )


def test_after_a_measurement_the_next_command_names_the_space(nas: Nas) -> None:
    pytest.importorskip("scipy")
    Path("a b").mkdir()
    words = ("latency", "measure", "--backend", "fake", "--rounds", "6", "--space", str(TINY))
    reply = nas(*words, "--out", "a b/t.yaml")
    assert reply.code == 0, reply.err
    *_, check, search = reply.err.splitlines()
    assert check == f"next: nas latency validate --table 'a b/t.yaml' --space {TINY}, or"
    assert search == f"nas search --space {TINY} --latency-table 'a b/t.yaml'"


def test_a_refused_measurement_leaves_nothing(nas: Nas) -> None:
    words = ("latency", "measure", "--space", str(TINY), "--out", "new/one/t.yaml")
    assert "core 977 is not among those" in refusal(
        nas, *words, "--backend", "fake", "--cores", "977"
    )
    assert not Path("new").exists()


def test_a_folder_with_spaces_is_quoted_where_its_command_is_shown(nas: Nas) -> None:
    Path("run").rename("my run")
    assert "see: nas status 'my run'" in refusal(nas, "latency", "check", "my run")
    assert "see: nas status 'my run'" in refusal(nas, "study", "my run")
