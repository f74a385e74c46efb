"""The rules of NetAdapt: steps, choices, targets, and the journal of a run."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from nas.core.errors import BadValue, NasError, RunError, UnknownName, Unreachable
from nas.latency.file import load_table
from nas.network.zoo import load_architecture
from nas.pruning.folder import NetAdaptFolder, settings_in
from nas.pruning.netadapt import Point, Result, Round, Settings, Step, Tried, check, choose

PIXEL = load_table("pixel1")
LARGE = load_architecture("mobilenet_v3_large")


@pytest.mark.parametrize(
    ("text", "by", "saved"),
    [("0.01", "latency", 0.8), ("1%", "latency", 0.8), ("2ms", "latency", 2.0),
     ("0.5 ms", "latency", 0.5), ("0.05", "macs", 4.0), ("3M", "macs", 3e6)],
)  # fmt: skip
def test_a_step_is_a_share_or_an_amount(text: str, by: str, saved: float) -> None:
    assert Step.parse(text, by=by).of(80.0) == pytest.approx(saved)


@pytest.mark.parametrize("text", ["", "0", "-1ms", "1", "100%", "2 s", "1.2.3ms", "ms"])
def test_a_bad_step_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="a step is a fraction"):
        Step.parse(text, by="latency")


def test_a_step_in_another_unit_says_what_it_needs() -> None:
    with pytest.raises(BadValue, match="needs `by=macs`"):
        Settings(target_ms=40, step="3M")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"target_ms": 0.0}, BadValue), ({"target_ms": float("nan")}, BadValue),
     ({"decay": 0.0}, BadValue), ({"held_out": 1.0}, BadValue), ({"epochs": -1}, BadValue),
     ({"shortlist": -1}, BadValue),
     ({"choose": "best"}, UnknownName), ({"importance": "l3"}, UnknownName)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], error: type[NasError]) -> None:
    with pytest.raises(error):
        Settings(**{"target_ms": 40.0, **wrong})


def test_a_round_saves_its_step_but_no_more_than_the_target_asks() -> None:
    settings = Settings(target_ms=40, step="10%", decay=0.5)
    assert settings.within(80, round_number=1) == pytest.approx(72)
    assert settings.within(80, round_number=3) == pytest.approx(78)
    assert settings.within(42, round_number=1) == 40
    by_macs = Settings(target_ms=40, step="10M", by="macs")
    assert by_macs.within(30e6, round_number=2) == pytest.approx(20e6)


def tried(top1: float | None) -> Tried:
    point = None if top1 is None else Point(latency_ms=1, macs=1, params=1, held_out=top1)
    return Tried(group="x", was=16, width=8, point=point, error="" if point else "broke")


def test_the_two_choices_differ_as_in_the_papers() -> None:
    found = [tried(0.70), tried(0.69), tried(None), tried(0.60)]
    costs = [99.0, 90.0, 1.0, 50.0]
    before = (100.0, 0.75)
    assert choose(found, costs, before, by="accuracy") == 0
    # -0.05 for 1, -0.06 for 10, -0.15 for 50: the last loses the least per cost saved
    assert choose(found, costs, before, by="ratio") == 3


def test_of_equals_the_cheapest_is_chosen() -> None:
    found = [tried(0.7), tried(0.7), tried(0.7)]
    assert choose(found, [9.0, 8.0, 8.0], (10.0, 0.7), by="accuracy") == 1
    assert choose(found, [9.0, 8.0, 8.0], (10.0, 0.7), by="ratio") == 1


def test_a_round_of_failures_has_no_choice() -> None:
    with pytest.raises(NasError, match=r"all 2 proposals of a round failed, the first with: broke"):
        choose([tried(None)] * 2, [1.0, 2.0], (3.0, 0.5), by="ratio")


def test_a_target_that_pruning_cannot_reach_names_the_floor_and_the_groups() -> None:
    with pytest.raises(
        Unreachable, match=r"can reach 5\.253 ms, not 4: .*stem\.0\.out at 8, .* more"
    ):
        check(LARGE, PIXEL, Settings(target_ms=4))
    hidden = Settings(target_ms=20, prune=("stem", "head"))
    with pytest.raises(Unreachable, match=r"stem\.0\.out at 8, head\.0\.out at 8, head"):
        check(LARGE, PIXEL, hidden)


@pytest.mark.parametrize("target_ms", [51.86, 80.0])
def test_a_target_above_the_start_is_refused(target_ms: float) -> None:
    with pytest.raises(Unreachable, match=r"not below the 51\.85 ms that pixel1 predicts"):
        check(LARGE, PIXEL, Settings(target_ms=target_ms))


def test_kinds_that_a_network_lacks_leave_nothing_to_cut() -> None:
    with pytest.raises(NasError, match="no channels of kind hidden"):
        check(load_architecture("mobilenet_v1"), PIXEL, Settings(target_ms=20, prune=("hidden",)))


def test_a_record_has_the_fixed_names() -> None:
    point = Point(latency_ms=2.0, macs=3, params=4, held_out=0.5, top1=0.6)
    one = Round(number=1, tried=(tried(0.5), tried(None)), chosen=0, point=point)
    result = Result(arch=LARGE, start=point, rounds=(one,), best_arch=LARGE, best=point)
    record = json.loads(json.dumps(result.record()))
    assert set(record) == {"start", "rounds", "best"}
    for part in (record["start"], record["rounds"][0], record["best"]):
        assert {"latency_ms", "macs", "params", "top1"} <= set(part)
    assert (record["rounds"][0]["tried"], record["rounds"][0]["failed"]) == (2, 1)


def test_a_journal_remembers_what_was_tried_and_chosen(tmp_path: Path) -> None:
    folder = NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})
    point = Point(latency_ms=2.0, macs=3, params=4, held_out=0.5)
    folder.log_start(point)
    for group in ("a", "b"):
        folder.proposal(1, group).parent.mkdir(parents=True, exist_ok=True)
        folder.proposal(1, group).write_bytes(group.encode())
        folder.log_tried(1, replace(tried(0.5), group=group))
    folder.log_tried(1, replace(tried(None), group="c"))
    folder.log_chosen(1, "b")
    folder.close()
    again = NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})
    assert again.start == point
    assert again.chosen(1) == "b"
    assert again.checkpoint(1).read_bytes() == b"b"
    assert not again.proposal(1, "a").exists()
    assert {group: one.error for group, one in again.tried(1).items()} == {
        "a": "", "b": "", "c": "broke"
    }  # fmt: skip
    assert again.tried(1)["a"] == replace(tried(0.5), group="a")
    again.close()


def test_a_proposal_whose_weights_are_gone_is_tried_again(tmp_path: Path) -> None:
    folder = NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})
    folder.log_tried(1, replace(tried(0.5), group="a"))
    assert folder.tried(1) == {}
    assert folder.chosen(1) is None
    folder.close()


def test_a_run_from_before_a_setting_is_one_that_did_without_it(tmp_path: Path) -> None:
    settings = json.loads(json.dumps(asdict(Settings(target_ms=40, shortlist=0))))
    before = {name: value for name, value in settings.items() if name != "shortlist"}
    NetAdaptFolder(tmp_path, {"settings": before}).close()
    assert settings_in(tmp_path)["settings.shortlist"] == 0
    with pytest.raises(RunError, match=r"settings\.shortlist is 0, not 3"):
        NetAdaptFolder(tmp_path, {"settings": {**settings, "shortlist": 3}})
    NetAdaptFolder(tmp_path, {"settings": settings}).close()
    assert settings_in(tmp_path / "none") == {}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RunError, match="not empty and holds no pruning"):
        NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})


def test_a_damaged_journal_names_the_line(tmp_path: Path) -> None:
    NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}}).close()
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"round": 1, "tried": {"size": 3}}) + "\n")
        file.write(json.dumps({"start": asdict(Point(latency_ms=1, macs=1, params=1))}) + "\n")
    with pytest.raises(RunError, match="line 2: damaged"):
        NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    first = NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})
    with pytest.raises(RunError, match="another run is writing"):
        NetAdaptFolder(tmp_path, {"settings": {"seed": 1, "shortlist": 0}})
    first.close()
