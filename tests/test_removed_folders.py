"""Folders that are removed while a command works in them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_search import search

from nas.core.errors import RunError
from nas.core.jsonl import Lines
from nas.searching.loop import write

Nas = Callable[..., Any]


def test_a_file_that_is_removed_is_rewritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run" / "log.jsonl"
    lines = Lines(path, writer="another")
    lines.append({"a": 1})
    shutil.rmtree(tmp_path / "run")
    lines.append({"a": 2})
    assert path.read_text() == '{"a":1}\n{"a":2}\n'
    with pytest.raises(RunError, match="another is writing"):
        Lines(path, writer="another")
    path.unlink()
    lines.restore()
    lines.restore()
    lines.close()
    assert path.read_text() == '{"a":1}\n{"a":2}\n'
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'run'} was removed; writing it again, with log.jsonl",
        f"{path} was removed; writing it again, with log.jsonl",
    ]


def test_a_file_that_was_replaced_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = Lines(path, writer="another")
    path.unlink()
    path.write_text("mine\n")
    with pytest.raises(RunError, match=r"log.jsonl was replaced by another file"):
        lines.append({"a": 1})
    lines.close()
    assert path.read_text() == "mine\n"


def test_another_working_folder_is_no_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    lines = Lines(Path("log.jsonl"), writer="another")
    monkeypatch.chdir("other")
    lines.append({"a": 1})
    lines.close()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["log.jsonl"]
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("at", [20, 60])
def test_a_search_whose_folder_is_removed_rewrites_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    def remove(done: int, wanted: int, note: str) -> None:
        if done == at:
            shutil.rmtree(tmp_path / "run")

    config: dict[str, Any] = {"trials": 60, "strategy": "random", "batch": 20}
    run = search(out=tmp_path / "run", progress=remove, **config)
    whole = search(out=tmp_path / "whole", **config)
    assert run.finished
    assert f"{tmp_path / 'run'} was removed; writing it again" in caplog.text
    for name in ("run.yaml", "pareto.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    longer = search(out=tmp_path / "run", **{**config, "trials": 80})
    assert (longer.new, len(longer.trials)) == (20, 80)
    shutil.rmtree(tmp_path / "whole")
    with pytest.raises(RunError, match="was removed after the search; its journal is gone"):
        write(whole)


def test_a_pruning_whose_folder_is_removed_keeps_its_journal_and_settings(tmp_path: Path) -> None:
    from nas.pruning.folder import NetAdaptFolder

    out = tmp_path / "p"
    folder = NetAdaptFolder(out, {"settings": {"shortlist": 0}})
    shutil.rmtree(out)
    folder.log_end({"note": ""})
    folder.close()
    assert json.loads((out / "journal.jsonl").read_text().splitlines()[-1]) == {"end": {"note": ""}}
    again = NetAdaptFolder(out, {"settings": {"shortlist": 0}})
    assert again.end is None  # its network is gone
    again.close()


@pytest.mark.torch
def test_a_training_whose_folder_is_removed_is_whole_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from nas.network.checkpoint import load_checkpoint
    from nas.network.multipliers import scale_resolution
    from nas.network.zoo import load_architecture
    from nas.training.data import load_data
    from nas.training.job import Options
    from nas.training.recipes import adapt, quick
    from nas.training.run import train

    monkeypatch.setattr("nas.training.loop.SECONDS_BETWEEN_REPORTS", 0.0)
    out, seen = tmp_path / "t", []

    def remove(done: int, total: int, note: str) -> None:
        if not seen and (out / "best.safetensors").is_file():
            seen.append(done)
            shutil.rmtree(out)

    arch = scale_resolution(load_architecture("mobilenet_v3_small@0.25"), 32)
    data, recipe = load_data("shapes:count=80,classes=4"), adapt(quick(), epochs=3)
    trained = train(arch, data, recipe, out=out, options=Options(report=remove, device="cpu"))
    assert seen
    assert load_checkpoint(str(out)).top1 == trained.top1
    assert {"arch.yaml", "train.yaml", "metrics.jsonl", "last.safetensors"} <= {
        path.name for path in out.iterdir()
    }
