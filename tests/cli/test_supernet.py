"""`nas supernet`: train, search with it, score, extract, and fine-tune a part."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cards  # noqa: E402
import supernets  # noqa: E402

from nas.core.data import to_yaml  # noqa: E402
from nas.network.blocks import to_mapping  # noqa: E402
from nas.network.checkpoint import load_checkpoint  # noqa: E402
from nas.supernet.find import load_supernet  # noqa: E402

pytestmark = pytest.mark.torch

Nas = Callable[..., Any]
SPACE = str(supernets.SPACE)
TRAIN = ("supernet", "train", "--space", SPACE, "--data", supernets.DATA, "--recipe", "quick")
HOW = ("--epochs", "1", "--batch", "16", "--device", "cpu")
PART = "part.safetensors"
SEARCH = ("search", "--space", SPACE, "--limit", "macs<=1M", "--seed-arch", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(supernets.trained(tmp_path_factory.mktemp("runs") / "sn"))


def test_training_says_what_comes_next(nas: Nas) -> None:
    done = nas(*TRAIN, *HOW, "--out", "sn")
    assert done.code == 0, done.err
    assert done.out.startswith("top1 of the largest network ")
    assert f"nas search --space {SPACE} --evaluator supernet:sn" in done.err
    assert json.loads(nas(*TRAIN, *HOW, "--out", "sn", "--json").out)["epochs"] == 1
    status = nas("status", "sn").out
    assert "sn: a supernet, finished" in status
    assert "supernet:sn" in status


def extract_one(nas: Nas, folder: str) -> Any:
    """Write a network of the space to PART; return the reply."""
    space = load_supernet(folder).space
    row = space.sample_matrix(np.random.default_rng(0), 1)[0]
    Path("one.yaml").write_text(to_yaml(to_mapping(space.decode_row(row))), encoding="utf-8")
    return nas("supernet", "extract", folder, "--arch", "one.yaml", "--out", PART)


def told(nas: Nas, name: str) -> list[str]:
    """Return how a network was found, by its card."""
    assert nas("export", name, "--format", "hub", "--out", f"{name}.hub").code == 0
    return cards.how_found(Path(f"{name}.hub", "README.md"))


def test_a_search_scores_each_candidate_by_shared_weights(nas: Nas, folder: str) -> None:
    words = ("--evaluator", f"supernet:{folder},calibration=1", "--objective", "macs")
    done = nas(*SEARCH, *words, "--objective", "top1_proxy", "--trials", "5", "--out", "run")
    assert done.code == 0, done.err
    assert f"nas train RUN:best --data {supernets.DATA} --inherit {folder}" in done.out
    found = json.loads(nas("supernet", "eval", folder, "--arch", "run:best", "--json").out)
    assert 0 <= found["networks"][0]["top1"] <= 1
    tuned = nas(
        "train", "run:best", "--data", supernets.DATA, "--inherit", folder, *HOW, "--out", "tuned"
    )
    assert tuned.code == 0, tuned.err
    assert f"beginning with weights of {folder} for 100% of the parameters" in tuned.err
    assert nas("supernet", "extract", folder, "--arch", "run:best", "--out", PART).code == 0
    found, *_ = told(nas, PART)
    assert found == (
        "Found by a search of the space tiny.yaml under macs<=1M, 5 trials, latency by pixel1."
    )


def test_an_extracted_network_is_taken_everywhere(nas: Nas, folder: str) -> None:
    done = extract_one(nas, folder)
    assert done.code == 0, done.err
    top1 = load_checkpoint(PART).top1
    assert done.out == f"top1 {top1:.4f} on the validation images\n"
    assert f"top1 {top1:.4f}" in nas("eval", PART, "--data", supernets.DATA).out
    pytest.importorskip("onnx")
    assert nas("export", PART, "--format", "onnx", "--out", "part.onnx").code == 0


def test_cards_of_extracted_networks_name_their_supernet(nas: Nas, folder: str) -> None:
    assert extract_one(nas, folder).code == 0
    data = supernets.DATA.partition(":")[0]
    (weights,) = told(nas, PART)
    assert weights.startswith(
        f"Its weights are part of a supernet of the space tiny, trained on {data}"
    )
    assert nas("train", PART, "--data", supernets.DATA, *HOW, "--out", "tuned").code == 0
    first, then, begun = told(nas, "tuned")
    assert first == weights
    assert "was trained from given weights by nas train on" in then
    assert begun == f"It began with weights of {PART}."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("eval", "{sn}", "--arch", "mobilenet_v2"), "mobilenet_v2 is not in space tiny"),
        (("eval", "nothing", "--arch", "mobilenet_v2"), "nothing is not a run folder"),
        (("extract", "{sn}", "--arch", "mobilenet_v2", "--out", "x"), "must end in .safetensors"),
    ],
)
def test_bad_input_is_one_line(nas: Nas, folder: str, words: tuple[str, ...], said: str) -> None:
    done = nas("supernet", *(word.replace("{sn}", folder) for word in words))
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [
        ("supernet", "needs the folder of a supernet"),
        ("supernet:{sn}", "is a supernet of space tiny, not of mobilenetv3"),
    ],
)
def test_a_search_without_its_supernet_is_refused(
    nas: Nas, folder: str, evaluator: str, said: str
) -> None:
    done = nas("search", "--evaluator", evaluator.replace("{sn}", folder), "--out", "run",
               "--space", "mobilenetv3")  # fmt: skip
    assert done.code == 2
    assert said in done.err


def test_a_supernet_is_no_network(nas: Nas, folder: str) -> None:
    for words in (("eval", folder, "--data", supernets.DATA), ("show", folder)):
        done = nas(*words)
        assert done.code == 2
        assert "nas supernet extract" in done.err


def test_what_is_for_workers_alone_is_refused_without_them(nas: Nas) -> None:
    done = nas(*TRAIN, *HOW, "--cpus-per-worker", "2", "--out", "sn")
    assert done.code == 2
    assert done.err == (
        "error: --cpus-per-worker is for a cluster: give --workers or --ray-address, too\n"
    )


@pytest.mark.cluster
def test_workers_that_cannot_share_a_batch_are_refused_before_they_start(nas: Nas) -> None:
    pytest.importorskip("ray")
    done = nas(*TRAIN, *HOW, "--workers", "3", "--out", "sn")
    assert done.code == 2
    assert "3 workers cannot share batches of 16 images equally; give --batch 18" in done.err
