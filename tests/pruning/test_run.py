"""NetAdapt on real digits: it reaches its target, survives kills and failures, and holds out
data."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.errors import NasError, RunError, Unreachable  # noqa: E402
from nas.core.workers.runner import Failure, InProcess  # noqa: E402
from nas.latency.file import load_table  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.pruning.job import PruningJob  # noqa: E402
from nas.pruning.netadapt import Result, Round, Settings  # noqa: E402
from nas.pruning.run import Listener, netadapt  # noqa: E402
from nas.training.confusion import score_checkpoint  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.recipes import adapt, quick  # noqa: E402
from nas.training.run import train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

ARCH = Architecture(
    resolution=16,
    stem=(Block(kind="conv", in_channels=3, out_channels=16, kernel=3, stride=2, act="hswish"),),
    stages=(
        (
            Block(kind="mbconv", in_channels=16, out_channels=24, hidden_channels=64, kernel=3,
                  stride=2, se_channels=16, act="hswish", gate="hsigmoid"),
            Block(kind="mbconv", in_channels=24, out_channels=24, hidden_channels=72, kernel=3,
                  act="hswish"),
        ),
    ),
    head=(Block(kind="conv", in_channels=24, out_channels=64, act="hswish"),
          Block(kind="pool", in_channels=64, out_channels=64),
          Block(kind="linear", in_channels=64, out_channels=10, act="none")),
    name="small",
)  # fmt: skip
TABLE = load_table("pixel1")
FULL_MS = TABLE.predict(ARCH).ms
SETTINGS = Settings(
    target_ms=0.78 * FULL_MS, step="10%", epochs=0, steps=3, final_epochs=3, importance="l1",
    shortlist=0,
)  # fmt: skip
RECIPE = adapt(quick(), lr=1e-3)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained(digits: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "start"
    torch.set_num_threads(1)
    train(ARCH, digits, adapt(quick(), epochs=7), out=out)
    return out


@pytest.fixture(scope="module")
def start(trained: Path) -> Checkpoint:
    return load_checkpoint(str(trained))


@pytest.fixture
def job(start: Checkpoint, digits: Data) -> PruningJob:
    return PruningJob(start=start, data=digits, table=TABLE, settings=SETTINGS, recipe=RECIPE)


@pytest.fixture(scope="module")
def done(
    start: Checkpoint, digits: Data, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("runs") / "pruned"
    torch.set_num_threads(1)
    job = PruningJob(start=start, data=digits, table=TABLE, settings=SETTINGS, recipe=RECIPE)
    return out, netadapt(job, out)


def test_it_prunes_to_the_target_step_by_step(done: tuple[Path, Result]) -> None:
    _, result = done
    ms = [result.start.latency_ms, *(one.point.latency_ms for one in result.rounds)]
    assert ms[0] == pytest.approx(FULL_MS)
    assert ms[-1] <= SETTINGS.target_ms < ms[-2]
    assert all(after <= 0.9 * before for before, after in pairwise(ms[:-1]))
    assert result.best.latency_ms == ms[-1] == TABLE.predict(result.best_arch).ms
    assert result.best.params < result.start.params
    assert result.best.macs < result.start.macs
    assert result.note == ""


def test_a_pruned_network_still_knows_its_digits(done: tuple[Path, Result]) -> None:
    _, result = done
    assert result.start.top1 is not None
    assert result.best.top1 is not None
    assert result.start.top1 > 0.85
    assert result.best.top1 > result.start.top1 - 0.1
    assert all(one.point.top1 is not None for one in result.rounds)
    assert result.best.test is not None


def test_the_result_is_a_checkpoint_and_an_architecture(
    done: tuple[Path, Result], digits: Data
) -> None:
    out, result = done
    found = load_checkpoint(str(out / "final.safetensors"))
    assert found.arch == load_architecture(str(out / "final.yaml")) == result.best_arch
    assert found.data.classes == digits.classes
    scored = score_checkpoint(str(out / "final.safetensors"), digits)
    assert scored.value == result.best.top1 == found.top1


def test_every_round_chose_its_most_accurate_proposal(done: tuple[Path, Result]) -> None:
    _, result = done
    for one in result.rounds:
        accuracies = [t.point.held_out for t in one.tried if t.point]
        assert one.choice.point is not None
        assert one.choice.point.held_out == max(a for a in accuracies if a is not None)
        assert len({tried.group for tried in one.tried}) == len(one.tried) > 1


def test_pruning_never_sees_validation_and_test_images(job: PruningJob, tmp_path: Path) -> None:
    """Wrong labels in both change only the final scores."""
    rng = np.random.default_rng(0)
    test = job.data.test
    assert test is not None
    shuffled = replace(
        job.data,
        val=replace(job.data.val, labels=rng.permutation(job.data.val.labels)),
        test=replace(test, labels=rng.permutation(test.labels)),
    )
    settings = replace(SETTINGS, target_ms=0.9 * FULL_MS, final_epochs=1)
    ours, theirs = (
        netadapt(replace(job, data=data, settings=settings), tmp_path / name)
        for name, data in (("ours", job.data), ("theirs", shuffled))
    )
    assert list(map(untimed, ours.rounds)) == list(map(untimed, theirs.rounds))
    mine, other = (
        load_checkpoint(str(tmp_path / n / "final.safetensors")) for n in ("ours", "theirs")
    )
    for name, value in mine.weights.items():
        np.testing.assert_array_equal(value, other.weights[name])
    assert ours.best.top1 != theirs.best.top1


def untimed(one: Round) -> Any:
    return tuple(replace(tried, seconds=0.0) for tried in one.tried)


def test_a_finished_run_is_read_not_run_again(
    done: tuple[Path, Result], job: PruningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, result = done
    monkeypatch.setattr("nas.pruning.run.accuracy", lambda *_: pytest.fail("scored again"))
    again = netadapt(job, out, runner=Never())
    assert again.best == result.best
    assert again.start == result.start
    assert [one.point for one in again.rounds] == [one.point for one in result.rounds]
    assert [one.choice.group for one in again.rounds] == [o.choice.group for o in result.rounds]


class Never(InProcess):
    def map(self, *args: Any, **options: Any) -> Any:
        pytest.fail("carried out again")


def test_another_setting_is_refused_by_its_name(done: tuple[Path, Result], job: PruningJob) -> None:
    out, _ = done
    other = replace(job, settings=replace(SETTINGS, choose="ratio"))
    with pytest.raises(RunError, match=r"settings\.choose is 'accuracy', not 'ratio'"):
        netadapt(other, out)
    weights = {name: value + 1 for name, value in job.start.weights.items()}
    with pytest.raises(RunError, match=r"weights\.fingerprint"):
        netadapt(replace(job, start=replace(job.start, weights=weights)), out)
    assert json.loads((out / "journal.jsonl").read_text().splitlines()[0]) == {"schema": 1}


class Counting(InProcess):
    """Counts its tasks, and interrupts the work after some."""

    def __init__(self, most: int = 10**6) -> None:
        self.most, self.count = most, 0

    def map(self, work: Any, shared: Any, tasks: Any, *, seconds: float = 0.0) -> Any:
        for found in super().map(work, shared, tasks):
            if self.count == self.most:
                raise KeyboardInterrupt
            self.count += 1
            yield found


def test_a_run_resumes_in_the_middle_of_a_round(
    job: PruningJob, tmp_path: Path, done: tuple[Path, Result]
) -> None:
    _, wanted = done
    tasks = sum(len(one.tried) for one in wanted.rounds)
    out, stops = tmp_path / "run", len(wanted.rounds[0].tried) + 2
    with pytest.raises(KeyboardInterrupt):
        netadapt(job, out, runner=Counting(stops))
    with (out / "journal.jsonl").open("ab") as file:
        file.write(b'{"round":2,"tri')  # the line that the kill cut off
    rest = Counting()
    result = netadapt(job, out, runner=rest)
    assert rest.count == tasks - stops
    assert replace(result.best) == replace(wanted.best)
    assert [o.choice.group for o in result.rounds] == [o.choice.group for o in wanted.rounds]


class Broken(InProcess):
    """Fails the tasks of one group."""

    def __init__(self, group: str) -> None:
        self.group = group

    def map(self, work: Any, shared: Any, tasks: Any, *, seconds: float = 0.0) -> Any:
        for number, task in enumerate(tasks):
            if self.group in ("all", task.path.stem):
                yield number, Failure("the loss is nan")
            else:
                yield number, work(shared, task)


def test_failed_proposals_are_noted_and_left_out(job: PruningJob, tmp_path: Path) -> None:
    easy = replace(job, settings=replace(SETTINGS, target_ms=0.9 * FULL_MS, final_epochs=0))
    rounds: list[Round] = []
    netadapt(easy, tmp_path, runner=Broken("stem.0.out"), listener=Listener(round=rounds.append))
    (failed,) = (one for one in rounds[0].tried if one.group == "stem.0.out")
    assert failed.error == "the loss is nan"
    assert failed.point is None
    assert rounds[0].choice.group != "stem.0.out"
    assert '"error":"the loss is nan"' in (tmp_path / "journal.jsonl").read_text()


def test_a_round_of_failures_says_the_first(job: PruningJob, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"all \d proposals of a round failed.*the loss is nan"):
        netadapt(job, tmp_path, runner=Broken("all"))


@pytest.mark.parametrize(
    ("share", "message"),
    [(1.0, "is not below the"), (2.0, "is not below the"), (0.01, r"pruning can reach .* at 8")],
)
def test_a_target_out_of_reach_is_refused_before_any_work(
    job: PruningJob, tmp_path: Path, share: float, message: str
) -> None:
    far = replace(job, settings=replace(SETTINGS, target_ms=share * FULL_MS))
    with pytest.raises(Unreachable, match=message):
        netadapt(far, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_data_of_other_classes_are_refused(job: PruningJob, tmp_path: Path) -> None:
    other = replace(job, data=load_data("shapes:count=40,classes=4"))
    with pytest.raises(NasError, match="10 classes of digits"):
        netadapt(other, tmp_path / "run")


def test_proposals_without_fine_tuning_are_only_scored(job: PruningJob, tmp_path: Path) -> None:
    settings = replace(SETTINGS, target_ms=0.9 * FULL_MS, steps=0, final_epochs=0)
    result = netadapt(replace(job, settings=settings), tmp_path)
    assert result.best.held_out == result.rounds[-1].point.held_out
    assert not (tmp_path / "fine_tuning").exists()


def test_a_run_that_finds_nothing_more_to_cut_ends_there_and_says_so(
    job: PruningJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.pruning.proposals import proposals

    calls: list[float] = []

    def once(*args: Any, within: float) -> Any:
        calls.append(within)
        return proposals(*args, within=within) if len(calls) == 1 else ()

    monkeypatch.setattr("nas.pruning.run.proposals", once)
    result = netadapt(replace(job, settings=replace(SETTINGS, final_epochs=0)), tmp_path)
    assert len(result.rounds) == 1
    assert result.best.latency_ms > SETTINGS.target_ms
    assert result.note == "nothing was left to cut before the target was reached"


class Full(InProcess):
    """A disk that is full from the second task on."""

    def map(self, work: Any, shared: Any, tasks: Any, *, seconds: float = 0.0) -> Any:
        for number, outcome in super().map(work, shared, tasks, seconds=seconds):
            yield number, Failure("no space left", fatal=True) if number else outcome


def test_a_full_disk_ends_the_run_and_fails_no_proposal(job: PruningJob, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no space left"):
        netadapt(job, tmp_path / "run", runner=Full())
    assert "no space left" not in (tmp_path / "run/journal.jsonl").read_text()


def test_a_short_list_tries_few_and_resumes_after_a_kill(job: PruningJob, tmp_path: Path) -> None:
    settings = replace(
        SETTINGS, shortlist=2, importance="taylor", target_ms=0.85 * FULL_MS, final_epochs=0
    )
    short = replace(job, settings=settings)
    whole = netadapt(short, tmp_path / "whole")
    assert [len(one.tried) for one in whole.rounds] == [2] * len(whole.rounds)
    with pytest.raises(KeyboardInterrupt):
        netadapt(short, tmp_path / "killed", runner=Counting(1))
    rest = Counting()
    again = netadapt(short, tmp_path / "killed", runner=rest)
    assert rest.count == 2 * len(whole.rounds) - 1
    assert list(map(untimed, again.rounds)) == list(map(untimed, whole.rounds))
