"""Files of version 0.1.0 are still read, and its runs resumed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.core.run_folder import kind_of
from nas.latency.file import load_table
from nas.network.checkpoint import load_checkpoint
from nas.network.zoo import load_architecture
from nas.searching.config import read_config
from nas.searching.runs.folder import find_architecture
from nas.searching.runs.stored import read_run
from nas.space.file import load_space

Nas = Callable[..., Any]
EARLIER = Path(__file__).parent / "data" / "earlier"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all files, as the working folder."""
    shutil.copytree(EARLIER, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.torch
def test_a_search_is_continued(here: Path, nas: Nas) -> None:
    pytest.importorskip("torch")
    before = (here / "search" / "journal.jsonl").read_text()
    assert nas("status", "search").out.startswith("search: finished\ntrials: 12 of 12 (12 ok)")
    reply = nas("search", "--out", "search", "--trials", "16", "--no-plot", "--json")
    assert (reply.code, json.loads(reply.out)["trials"]) == (0, 16)
    assert "proposes otherwise" not in reply.err
    assert (here / "search" / "journal.jsonl").read_text().startswith(before)


@pytest.mark.parametrize(
    ("folder", "table"),
    [
        ("search_2018", "pixel1_2018"),
        ("search_own_era", "two_eras.yaml:2019"),
        ("search_mbconv", "epyc_genoa_onnxruntime_1t_fp32_mnasnet_b0"),
    ],
)
def test_a_search_keeps_its_table_and_space(folder: str, table: str, here: Path, nas: Nas) -> None:
    front = (here / folder / "pareto.csv").read_bytes()
    shown = json.loads(nas("show", f"{folder}:best", "--json").out)
    assert f",{shown['latency_ms']}," in front.decode()
    reply = nas("search", "--out", folder, "--no-plot", "--json")
    assert (reply.code, json.loads(reply.out)["trials"]) == (0, 8), reply.err
    assert "cannot be checked" not in reply.err
    assert (here / folder / "pareto.csv").read_bytes() == front
    assert read_config(here / folder / "run.yaml").latency_table == table
    kept = load_space(here / folder / "space.yaml")
    assert (kept.name, read_config(here / folder / "run.yaml").space) == ("mnasnet_b0", "mbconv")
    longer = nas("search", "--out", folder, "--trials", "12", "--no-plot", "--json")
    assert json.loads(longer.out)["trials"] == 12
    assert read_run(here / folder).space == kept


@pytest.mark.torch
def test_a_training_is_continued(here: Path, nas: Nas) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    words = ("--data", "digits", "--recipe", "quick", "--epochs", "2", "--out", "training")
    logged = json.loads(Path("training/metrics.jsonl").read_text().splitlines()[1])
    found = json.loads(nas("eval", "training", "--data", "digits", "--json").out)
    assert found["top1"] == pytest.approx(logged["top1"], abs=0.02)
    reply = nas("train", "search/archs/001.yaml", *words, "--json")
    assert reply.code == 0, reply.err
    assert json.loads(reply.out)["history"][0] == logged
    assert [epoch["epoch"] for epoch in json.loads(reply.out)["history"]] == [1, 2]


@pytest.mark.parametrize("name", ["training", "netadapt"])
def test_networks_are_found_with_their_weights(name: str, here: Path, nas: Nas) -> None:
    assert kind_of(here / name)
    assert load_checkpoint(name).arch.fingerprint == find_architecture(name).fingerprint
    assert nas("export", name, "--format", "json", "--out", "out.json").code == 0


def test_a_measured_table_predicts(here: Path) -> None:
    arch = load_architecture("search/archs/001.yaml")
    found = load_table("table.yaml").predict(arch)
    assert found.low_ms < found.ms < found.high_ms
