"""The model card says how a network was found, whatever was done with it since."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import cards

from nas.core.data import read_mapping

pytestmark = pytest.mark.torch

Nas = Callable[..., Any]
TINY = Path(__file__).parents[1] / "data" / "tiny.yaml"
SEARCH = ("search", "--latency-table", "pixel1", "--allow-extrapolation", "--evaluator", "costs",
          "--objective", "latency_ms", "--objective", "params", "--trials", "20",
          "--no-plot")  # fmt: skip
TRAIN = ("--data", "digits", "--epochs", "1", "--device", "cpu", "--out")
PRUNE = ("--latency-table", "pixel1", "--data", "digits", "--step", "30%", "--steps", "1",
         "--final-epochs", "0", "--measure-rounds", "0", "--device", "cpu", "--multiple", "4",
         "--target-ms", "0.085", "--out")  # fmt: skip
FOUND = "Found by a search of the space tiny.yaml, 20 trials, latency by pixel1."


def how_found(nas: Nas, name: str) -> list[str]:
    reply = nas("export", name, "--format", "hub", "--out", f"{name}.hub")
    assert reply.code == 0, reply.err
    card = Path(f"{name}.hub", "README.md")
    latency = card.read_text(encoding="utf-8").partition("## Latency")[2].partition("##")[0]
    assert "ms on Google Pixel 1" in latency
    return cards.how_found(card)


def test_a_card_tells_search_trainings_and_pruning(nas: Nas, tmp_path: Path) -> None:
    assert nas(*SEARCH, "--space", str(TINY), "--out", "found").code == 0
    assert nas("train", "found:best", *TRAIN, "trained").code == 0
    first, then = how_found(nas, "trained")[:2]
    assert (first.strip(), then[:21]) == (FOUND, "The architecture 001 ")

    shutil.copy("found/archs/001.yaml", "small.yaml")
    shutil.move("found", tmp_path / "elsewhere")  # the training has what it needs
    assert nas("train", "--out", "trained").code == 0
    assert nas("train", "trained", *TRAIN, "tuned").code == 0
    first, then, last, begun = how_found(nas, "tuned")[:4]
    assert (first.strip(), begun.strip()) == (FOUND, "It began with weights of trained.")
    assert then.startswith("The architecture 001 was trained by nas train on digits: ")
    assert last.startswith("The architecture 001 was trained from given weights by nas train ")

    again = ("train", "trained", *TRAIN[:2], "--epochs", "2", "--out", "trained")
    assert nas(*again).code == 0  # its own folder is no other network
    assert len(read_mapping(Path("trained/train.yaml"))["lineage"]["sentences"]) == 1
    assert nas("train", "small.yaml", *TRAIN, "other").code == 0
    assert nas("train", "other", *TRAIN, "other").code == 0
    assert "lineage" not in read_mapping(Path("other/train.yaml"))

    for _ in range(2):  # a finished run keeps its record, too
        assert nas("netadapt", "trained", *PRUNE, "pruned").code == 0
    first, _, last = how_found(nas, "pruned")[:3]
    assert (first.strip(), last.strip()[:29]) == (FOUND, "Pruned by NetAdapt from 001 t")


def test_a_damaged_record_is_said_and_costs_no_training(nas: Nas) -> None:
    assert nas(*SEARCH, "--space", str(TINY), "--out", "found").code == 0
    assert nas("train", "found:best", *TRAIN, "trained").code == 0
    record = Path("trained/train.yaml")
    record.write_text(record.read_text().replace("sentences:", "sentence:"))
    reply = nas("train", "trained", *TRAIN, "tuned")
    assert reply.code == 0, reply.err
    assert "without the record of how trained was found" in reply.err
    assert "lineage" not in read_mapping(Path("tuned/train.yaml"))
