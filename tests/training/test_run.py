"""Training: it learns, resumes exactly after a kill, and reports errors."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.errors import BadValue, NasError, RunError  # noqa: E402
from nas.models import state as checkpoint  # noqa: E402
from nas.network.blocks import Architecture, Block, to_mapping  # noqa: E402
from nas.network.checkpoint import find_checkpoint, load_checkpoint, read_header  # noqa: E402
from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.training import steps  # noqa: E402
from nas.training.augment import Augment  # noqa: E402
from nas.training.confusion import score_checkpoint  # noqa: E402
from nas.training.data import Data, Images, load_data  # noqa: E402
from nas.training.evaluate import OutOfMemory, Score, score  # noqa: E402
from nas.training.job import Options  # noqa: E402
from nas.training.loop import Diverged  # noqa: E402
from nas.training.process_group import ProcessGroup  # noqa: E402
from nas.training.recipes import Recipe, adapt, as_plain, quick  # noqa: E402
from nas.training.run import Trained, complete_training, plan, train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

ARCH = Architecture(
    resolution=16,
    stem=(Block(kind="conv", in_channels=3, out_channels=16, kernel=3, stride=2, act="hswish"),),
    stages=(
        (
            Block(kind="mbconv", in_channels=16, out_channels=16, hidden_channels=48, kernel=3,
                  se_channels=8, act="hswish", gate="hsigmoid"),
            Block(kind="mbconv", in_channels=16, out_channels=32, hidden_channels=64, kernel=3,
                  stride=2, act="hswish"),
        ),
    ),
    head=(Block(kind="pool", in_channels=32, out_channels=32),
          Block(kind="linear", in_channels=32, out_channels=1000, act="none")),
    dropout=0.2,
    drop_connect=0.2,
    name="small",
)  # fmt: skip
RECIPE = adapt(quick(), epochs=3)
VARIED = replace(RECIPE, augment=Augment(flip=True, crop=0.5, erasing=0.2, mixup=0.2))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


def first(images: Images) -> Images:
    return Images(labels=images.labels[:200], read=images.read)


@pytest.fixture(scope="module")
def few(digits: Data) -> Data:
    """Return three batches of training images."""
    return replace(digits, train=first(digits.train), val=first(digits.val))


@pytest.fixture(scope="module")
def learned(digits: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a training of eight epochs, and its folder."""
    out = tmp_path_factory.mktemp("runs") / "learned"
    torch.set_num_threads(1)
    return train(ARCH, digits, adapt(quick(), epochs=8), out=out)


def last(out: Path) -> dict[str, Any]:
    return dict(checkpoint.load(out / "last.safetensors"))


def assert_same(ours: Path, wanted: Path) -> None:
    """Check that two trainings ended with bitwise equal tensors, and equal metrics."""
    mine, theirs = last(ours), last(wanted)
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(mine[name], value), name
    logs = []
    for out in (ours, wanted):
        lines = (out / "metrics.jsonl").read_text().splitlines()
        logs.append([{**json.loads(line), "seconds": 0} for line in lines])
    assert logs[0] == logs[1]


def test_it_learns_digits(learned: Trained, digits: Data) -> None:
    assert learned.finished
    assert learned.epochs == len(learned.history) == 8
    assert learned.top1 is not None
    assert learned.top1 > 0.8
    assert learned.top1 == max(record["top1"] for record in learned.history)
    assert score(learned.model, digits.val, digits, side=16).top1 == learned.top1
    losses = [record["loss"] for record in learned.history]
    assert losses[-1] < losses[0] / 1.5


def test_of_equally_good_epochs_the_first_is_kept(
    few: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.25, 0.5, 0.5])
    monkeypatch.setattr(
        "nas.training.tasks.classification.score_batches",
        lambda *_: Score(top1=next(scores), loss=1.0, images=1),
    )
    trained = train(ARCH, few, RECIPE, out=tmp_path / "t")
    assert (trained.top1, trained.best_epoch) == (0.5, 2)
    assert read_header(tmp_path / "t" / "best.safetensors").progress["epoch"] == 2


def test_a_folder_says_what_was_trained_and_how(learned: Trained) -> None:
    out = learned.out
    assert out is not None
    kept = {path.name for path in out.iterdir() if not path.name.startswith("events")}
    assert kept == {
        "arch.yaml", "train.yaml", "metrics.jsonl", "best.safetensors", "last.safetensors"
    }  # fmt: skip
    found = load_checkpoint(str(out))
    assert found.arch == learned.arch
    assert found.arch.head[-1].out_channels == 10
    assert found.top1 == learned.top1
    assert found.data.classes == tuple("0123456789")
    lines = (out / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"schema": 1}
    assert [json.loads(line) for line in lines[1:]] == list(learned.history)


def test_events_for_tensorboard_are_written(learned: Trained) -> None:
    pytest.importorskip("tensorboard")
    assert learned.out is not None
    assert list(learned.out.glob("events.out.tfevents.*"))


def test_a_checkpoint_scores_as_in_its_training(learned: Trained, digits: Data) -> None:
    text = str(learned.out)
    assert score_checkpoint(text, digits, batch=100).value == learned.top1
    shifted = replace(digits, mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))
    assert score_checkpoint(text, shifted).value == learned.top1
    assert score_checkpoint(text, digits, split="test").images == len(digits.test or ())
    with pytest.raises(NasError, match="digits has no test images"):
        score_checkpoint(text, replace(digits, test=None), split="test")
    with pytest.raises(NasError, match=r"tells 10 classes .* \(0, 1, 2 and 7 more\), digits has 2"):
        score_checkpoint(text, replace(digits, classes=("a", "b")))


def test_a_finished_training_is_not_repeated(learned: Trained, digits: Data) -> None:
    assert learned.out is not None
    before = (learned.out / "last.safetensors").stat().st_mtime_ns
    again = train(ARCH, digits, adapt(quick(), epochs=8), out=learned.out)
    assert (again.top1, again.seconds, again.history) == (
        learned.top1, learned.seconds, learned.history
    )  # fmt: skip
    assert (learned.out / "last.safetensors").stat().st_mtime_ns == before


def test_the_seed_decides_and_nothing_around_it(few: Data) -> None:
    one_epoch = adapt(VARIED, epochs=1)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = train(ARCH, few, one_epoch, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    second, other = (train(ARCH, few, one_epoch, seed=seed) for seed in (1, 2))
    values = [run.model.state_dict()["stem.0.conv.weight"] for run in (first, second, other)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    assert first.out is None


@pytest.mark.parametrize("accumulate", [1, 2])
def test_stops_between_and_within_epochs_change_nothing(
    few: Data, tmp_path: Path, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(VARIED, accumulate=accumulate)
    whole = train(ARCH, few, recipe, out=tmp_path / "whole")
    first = train(ARCH, few, recipe, out=tmp_path / "parts", options=Options(until=1))
    assert (first.epochs, first.finished, first.interrupted) == (1, False, False)
    original, calls, stop = steps.Stepper.step, [], 2 if accumulate > 1 else 3

    def interrupted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(steps.Stepper, "step", interrupted)
    options = Options(save_seconds=0)
    second = train(ARCH, few, recipe, out=tmp_path / "parts", options=options)
    assert (second.epochs, second.finished, second.interrupted) == (1, False, True)
    progress = read_header(tmp_path / "parts" / "last.safetensors").progress
    assert progress["batch"] == 2
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        complete_training(plan(ARCH, few, recipe, options=options), tmp_path / "parts")
    third = train(ARCH, few, recipe, out=tmp_path / "parts")
    assert third.finished
    assert (third.top1, third.best_epoch) == (whole.top1, whole.best_epoch)
    assert_same(tmp_path / "parts", tmp_path / "whole")


KILLED = """
import json, os, signal, sys
from dataclasses import asdict, replace
from pathlib import Path
import torch
from nas.network.blocks import from_mapping
from nas.models import state as checkpoint
from nas.training.augment import Augment
from nas.training.data import Images, load_data
from nas.training.job import Options
from nas.training.recipes import Recipe
from nas.training.run import train

def first(images):
    return Images(labels=images.labels[:200], read=images.read)


arch, recipe, out, last = json.loads(sys.argv[1])
torch.set_num_threads(1)
whole, saves = checkpoint.save_file, []

def half(tensors, path, metadata):
    saves.append(path)
    whole(tensors, path, metadata=metadata)
    if len(saves) == last:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save_file = half
recipe = Recipe(**{**recipe, "augment": Augment(**recipe["augment"])})
options = Options(save_seconds=0)
digits = load_data("digits")
few = replace(digits, train=first(digits.train), val=first(digits.val))
train(from_mapping(arch), few, recipe, out=Path(out), options=options)
"""


def test_a_kill_while_a_checkpoint_is_written_changes_nothing(few: Data, tmp_path: Path) -> None:
    whole = train(ARCH, few, VARIED, out=tmp_path / "whole")
    words = json.dumps([to_mapping(ARCH), as_plain(VARIED), str(tmp_path / "killed"), 8])
    done = subprocess.run([sys.executable, "-c", KILLED, words], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    progress = read_header(tmp_path / "killed" / "last.safetensors").progress
    assert progress["epoch"] == 1
    assert 0 < progress["batch"] < 3
    resumed = train(ARCH, few, VARIED, out=tmp_path / "killed")
    assert resumed.top1 == whole.top1
    assert_same(tmp_path / "killed", tmp_path / "whole")


def test_a_teacher_teaches(learned: Trained, digits: Data, tmp_path: Path) -> None:
    recipe = replace(adapt(quick(), epochs=1), distillation=1.0)
    options = Options(teacher=str(learned.out))
    wrong = replace(digits, train=replace(digits.train, labels=np.zeros_like(digits.train.labels)))
    small = scale_resolution(ARCH, 12)
    student = train(small, wrong, adapt(recipe, epochs=4), out=tmp_path / "x", options=options)
    assert student.top1 is not None
    assert student.top1 > 0.3, "its labels say nothing, its teacher does"
    with pytest.raises(RunError, match="another teacher is"):
        train(small, wrong, adapt(recipe, epochs=4), out=tmp_path / "x")


def test_a_teacher_of_other_classes_is_refused(learned: Trained, digits: Data) -> None:
    options = Options(teacher=str(learned.out))
    with pytest.raises(NasError, match="tells 10 classes of digits apart"):
        train(ARCH, replace(digits, classes=tuple("abcdefghij")), RECIPE, options=options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": adapt(quick(), epochs=8, lr=0.1)}, "another recipe: its lr is 0.004, not 0.1"),
        ({"seed": 1}, "another seed is 0, not 1"),
        ({"arch": replace(ARCH, dropout=0.1, name="other")}, "another arch: its name is 'small'"),
    ],
)
def test_a_folder_of_another_training_is_refused(
    learned: Trained, digits: Data, changes: dict[str, Any], message: str
) -> None:
    asked = {"arch": ARCH, "data": digits, "recipe": adapt(quick(), epochs=8), **changes}
    with pytest.raises(RunError, match=message) as caught:
        train(**asked, out=learned.out)
    assert "\n" not in str(caught.value)


def test_data_may_move_but_not_change(learned: Trained, digits: Data) -> None:
    recipe = adapt(quick(), epochs=8)
    with pytest.raises(RunError, match="another data: its fingerprint is"):
        train(ARCH, replace(digits, fingerprint="0" * 16), recipe, out=learned.out)
    assert train(ARCH, replace(digits, name="elsewhere"), recipe, out=learned.out).finished


def test_a_checkpoint_of_another_architecture_is_refused(
    learned: Trained, digits: Data, tmp_path: Path
) -> None:
    other = replace(ARCH, dropout=0.1)
    train(other, digits, RECIPE, out=tmp_path, options=Options(until=1))
    (tmp_path / "last.safetensors").write_bytes(
        (find_checkpoint(f"{learned.out}:last") or Path()).read_bytes()
    )
    with pytest.raises(RunError, match="is of another architecture, small; give another `out`"):
        train(other, digits, RECIPE, out=tmp_path)


def test_a_folder_with_other_things_is_left_alone(digits: Data, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="is not empty and holds no training"):
        train(ARCH, digits, RECIPE, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_loss_that_is_no_number_ends_the_training(digits: Data, tmp_path: Path) -> None:
    wild = replace(RECIPE, lr=1e30, clip=0.0, warmup=0.0)
    with pytest.raises(Diverged, match=r"the loss is (nan|inf) in epoch 1, step .* lower `lr`"):
        train(ARCH, digits, wild, out=tmp_path / "wild")
    assert find_checkpoint(str(tmp_path / "wild" / "last.safetensors"))  # the path, not the file
    assert not (tmp_path / "wild" / "last.safetensors").exists()


@pytest.mark.parametrize("loss", [b"NaN", b"null"])
def test_a_checkpoint_without_a_loss_says_that_the_training_diverged(
    few: Data, tmp_path: Path, loss: bytes
) -> None:
    train(ARCH, few, RECIPE, out=tmp_path, options=Options(until=1))
    path = tmp_path / "last.safetensors"
    was = rb"\"loss\":0.0,"
    content = path.read_bytes()
    assert content.count(was) == 1
    length = int.from_bytes(content[:8], "little") + len(loss) - len(b"0.0")
    header = length.to_bytes(8, "little")
    path.write_bytes(header + content[8:].replace(was, was.replace(b"0.0", loss)))
    with pytest.raises(Diverged, match="the loss is no number; train again with a lower `lr`"):
        train(ARCH, few, RECIPE, out=tmp_path)


def test_short_memory_is_named(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(steps.Stepper, "step", too_much)
    with pytest.raises(OutOfMemory, match=r"batches of 64 images of 16x16; use `batch=32`") as e:
        train(ARCH, digits, RECIPE)
    assert "\n" not in str(e.value)


def test_other_errors_of_torch_stay_what_they_are(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(steps.Stepper, "step", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(ARCH, digits, RECIPE)


def test_misfits_are_reported_before_any_writing(digits: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BadValue, match="a resolution of 1 is too small"):
        train(replace(ARCH, resolution=1), digits, RECIPE, out=out)
    one = replace(RECIPE, batch=1)
    with pytest.raises(BadValue, match="cannot train on one image at a time at a resolution of 4"):
        train(replace(ARCH, resolution=4), digits, one, out=out)
    two, shared = replace(RECIPE, batch=2), Options(group=ProcessGroup(rank=0, size=2))
    with pytest.raises(
        BadValue, match=r"2 images or more \(for every worker\), or a resolution of"
    ):
        plan(replace(ARCH, resolution=4), digits, two, options=shared)
    assert plan(replace(ARCH, resolution=5), digits, one).recipe.batch == 1
    grey = replace(ARCH, input_channels=1, stem=(replace(ARCH.stem[0], in_channels=1),))
    with pytest.raises(BadValue, match="images have 3 channels, the architecture takes 1"):
        train(grey, digits, RECIPE, out=out)
    with pytest.raises(NasError, match="unknown device 'gpu'"):
        train(ARCH, digits, RECIPE, out=out, options=Options(device="gpu"))
    assert not out.exists()


def test_a_time_budget_leaves_a_training_that_resumes(few: Data, tmp_path: Path) -> None:
    first = train(ARCH, few, RECIPE, out=tmp_path, options=Options(seconds=1e-6))
    assert (first.epochs, first.finished, first.top1) == (0, False, None)
    assert read_header(tmp_path / "last.safetensors").progress["step"] == 1
    assert train(ARCH, few, RECIPE, out=tmp_path).finished


def test_progress_is_reported(few: Data) -> None:
    told: list[tuple[int, int, str]] = []
    train(ARCH, few, RECIPE, options=Options(report=lambda *words: told.append(words)))
    assert told[0][1] == 3 * len(few.train)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[0][2] == "epoch 1 of 3"
    assert isinstance(RECIPE, Recipe)
