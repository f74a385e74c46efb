"""The pictures of a pruning show every round and every group of channels."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from nas.latency.file import load_table
from nas.network.zoo import load_architecture
from nas.pruning.channels import groups, narrowed
from nas.pruning.netadapt import Point, Result, Round, Tried
from nas.report.netadapt_plots import draw_channels, draw_rounds

SMALL = load_architecture("mobilenet_v3_small")


def point(ms: float, top1: float) -> Point:
    return Point(latency_ms=ms, macs=1, params=1, held_out=top1 + 0.05, top1=top1)


def test_rounds_are_drawn_with_their_numbers(tmp_path: Path) -> None:
    tried = Tried(group="stem.0.out", was=16, width=8, point=point(9.0, 0.7))
    one = Round(number=1, tried=(tried,), chosen=0, point=point(9.0, 0.7))
    result = Result(
        arch=SMALL, start=point(10.0, 0.8), rounds=(one,), best_arch=SMALL, best=point(9.0, 0.75)
    )
    first, again = tmp_path / "rounds.svg", tmp_path / "again.svg"
    draw_rounds(result, load_table("pixel1"), [first, tmp_path / "rounds.png"])
    drawn = first.read_text()
    assert "<!-- mobilenet_v3_small, rounds of NetAdapt: 1 -->" in drawn
    assert "<!-- validation, after short fine-tuning -->" in drawn
    assert (tmp_path / "rounds.png").read_bytes().startswith(b"\x89PNG")
    draw_rounds(result, load_table("pixel1"), [again])
    assert again.read_text() == drawn


def test_every_group_is_drawn_before_and_after(tmp_path: Path) -> None:
    head = groups(SMALL)[-1]
    path = tmp_path / "channels.svg"
    draw_channels(SMALL, narrowed(SMALL, head, 600), [path])
    drawn = path.read_text()
    for group in groups(SMALL):
        assert f"<!-- {group.name} -->" in drawn
    assert "<!--  600 of 1024 -->" in drawn
    assert "<!--  576 -->" in drawn
