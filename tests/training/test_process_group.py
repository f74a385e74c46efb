"""Data-parallel training: shares of a batch give the result of one worker on all of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.models import state as checkpoint  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.training import loop  # noqa: E402
from nas.training.augment import Augment  # noqa: E402
from nas.training.batches import Batches  # noqa: E402
from nas.training.data import Data, Images, load_data  # noqa: E402
from nas.training.evaluate import score  # noqa: E402
from nas.training.job import Options, TrainingJob  # noqa: E402
from nas.training.process_group import ProcessGroup, running_statistics  # noqa: E402
from nas.training.recipes import adapt, quick  # noqa: E402
from nas.training.run import train  # noqa: E402
from nas.training.steps import Stepper  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

ARCH = Architecture(
    resolution=16,
    stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2, act="hswish"),),
    stages=((Block(kind="mbconv", in_channels=8, out_channels=16, hidden_channels=24, kernel=3),),),
    head=(Block(kind="pool", in_channels=16, out_channels=16),
          Block(kind="linear", in_channels=16, out_channels=10, act="none")),
)  # fmt: skip
RECIPE = replace(adapt(quick(), epochs=3), ema=0.9)
VARIED = replace(RECIPE, augment=Augment(crop=0.5, mixup=0.2))
COUNT = 2


def some(data: Data) -> Data:
    """Return data with three batches for training, and an odd number of images for validation."""
    return replace(data, train=_first(data.train, 200), val=_first(data.val, 151))


def _first(images: Images, count: int) -> Images:
    return Images(labels=images.labels[:count], read=images.read)


def images_and_labels() -> tuple[Any, Any]:
    """Return one batch, the same for all."""
    images = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(16) % 10


def stepper(data: Data, group: ProcessGroup) -> Stepper:
    job = TrainingJob(arch=ARCH, data=data, recipe=RECIPE, seed=0, options=Options(group=group))
    return Stepper(job, device=torch.device("cpu"))


def peer(rank: int, folder: Path) -> None:
    """Run the tested steps in one of the processes."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), COUNT)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=COUNT)
    group, data = ProcessGroup(rank=rank, size=COUNT), some(load_data("digits"))
    found = stepper(data, group)
    images, labels = images_and_labels()
    share = group.share(np.arange(16))
    found.step([(images[share], labels[share])], step=0, steps_an_epoch=10)
    np.savez(folder / f"own{rank}.npz", *map(np.array, running_statistics(found.model)))
    found.settle()
    model = found.model
    together = score(model, data.val, data, side=16, batch=64, group=group)
    alone = score(model, data.val, data, side=16, batch=64)
    facts = {
        "told": group.broadcast(f"of {rank}"),
        "together": [together.top1, together.loss, together.images],
        "alone": [alone.top1, alone.loss, alone.images],
    }
    (folder / f"facts{rank}.json").write_text(json.dumps(facts))
    np.savez(folder / f"weights{rank}.npz", **{k: np.array(v) for k, v in _state(model)})
    for name, stops in (("whole", (3,)), ("parts", (1, 3))):
        for until in stops:
            options = Options(group=group, until=until)
            out = folder / name if rank == 0 else None
            trained = train(ARCH, data, VARIED, out=out, options=options)
        np.savez(folder / f"{name}{rank}.npz", **{k: np.array(v) for k, v in _state(trained.model)})
        (folder / f"{name}{rank}.txt").write_text(repr(trained.top1))
    _stopped_within_an_epoch(data, group, folder)
    torch.distributed.destroy_process_group()


def _stopped_within_an_epoch(data: Data, group: ProcessGroup, folder: Path) -> None:
    """Train for an epoch, once without a break, once stopped in the last step after a
    checkpoint."""
    loop.STEPS_BETWEEN_CHECKS, loop.SECONDS_BETWEEN_REPORTS = 1, 0.0
    straight, out = (folder / n if group.rank == 0 else None for n in ("straight", "stopped"))

    def stop(done: int, total: int, note: str) -> None:
        if done > 150:
            raise KeyboardInterrupt

    train(ARCH, data, VARIED, out=straight, options=Options(group=group, until=1))
    options = Options(group=group, save_seconds=0, report=stop)
    assert not train(ARCH, data, VARIED, out=out, options=options).finished
    train(ARCH, data, VARIED, out=out, options=Options(group=group, until=1))


def _state(model: Any) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in model.state_dict().items() if v.is_floating_point()]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the results of the processes."""
    folder = tmp_path_factory.mktemp("group")
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path; import test_process_group
test_process_group.peer(int(sys.argv[1]), Path(sys.argv[2]))
"""
    words = [sys.executable, "-W", "error::FutureWarning", "-c", code]
    processes = [
        subprocess.Popen([*words, str(rank), str(folder)], stderr=subprocess.PIPE, text=True)
        for rank in range(COUNT)
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    return folder


@pytest.fixture(scope="module")
def data() -> Data:
    return some(load_data("digits"))


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as found:
        return dict(found)


def test_a_step_is_that_of_one_worker_which_adds_the_shares_up(left: Path, data: Data) -> None:
    alone = stepper(data, ProcessGroup())
    images, labels = images_and_labels()
    shares = [ProcessGroup(rank=rank, size=COUNT).share(np.arange(16)) for rank in range(COUNT)]
    alone.step([(images[s], labels[s]) for s in shares], step=0, steps_an_epoch=10)
    wanted = {k: v.detach().numpy() for k, v in alone.model.named_parameters()}
    for rank in range(COUNT):
        found = _arrays(left / f"weights{rank}.npz")
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-6)


def test_all_have_the_same_weights_and_statistics(left: Path) -> None:
    first, second = (_arrays(left / f"weights{rank}.npz") for rank in range(COUNT))
    own = [_arrays(left / f"own{rank}.npz") for rank in range(COUNT)]
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])
    assert any((own[0][name] != own[1][name]).any() for name in own[0])
    settled = [value for name, value in first.items() if "running" in name]
    for value, *parts in zip(settled, *(arrays.values() for arrays in own), strict=True):
        np.testing.assert_allclose(value, np.mean(parts, axis=0), rtol=1e-6)


def test_a_score_counts_every_image_once(left: Path) -> None:
    for rank in range(COUNT):
        facts = json.loads((left / f"facts{rank}.json").read_text())
        assert facts["told"] == "of 0"
        assert facts["together"] == pytest.approx(facts["alone"], rel=1e-6)
        assert facts["together"][2] == 151


def test_a_training_together_resumes_to_the_last_bit(left: Path) -> None:
    whole = _arrays(left / "whole0.npz")
    for found in ("whole1", "parts0", "parts1"):
        other = _arrays(left / f"{found}.npz")
        assert all((value == other[name]).all() for name, value in whole.items()), found
        assert (left / f"{found}.txt").read_text() == (left / "whole0.txt").read_text()


def test_a_training_together_resumes_within_an_epoch(left: Path) -> None:
    lines = (left / "stopped" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines[1:]] == [1]
    straight, stopped = (
        checkpoint.load(left / name / "last.safetensors") for name in ("straight", "stopped")
    )
    for name, value in straight.items():
        torch.testing.assert_close(stopped[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_shares_make_up_every_batch_and_are_varied_differently(data: Data) -> None:
    def batches(group: ProcessGroup, augment: Augment | None) -> list[tuple[Any, Any]]:
        return list(
            Batches(data.train, batch=64, side=16, data=data, seed=1, epoch=0, shuffle=True,
                    augment=augment, group=group)
        )  # fmt: skip

    whole = batches(ProcessGroup(), None)
    shares = [batches(ProcessGroup(rank=rank, size=3), None) for rank in range(3)]
    for number, (images, labels) in enumerate(whole):
        for rank in range(3):
            assert torch.equal(shares[rank][number][0], images[rank::3])
            assert torch.equal(shares[rank][number][1], labels[rank::3])
    assert len(batches(ProcessGroup(rank=9, size=10), None)) == 3  # the last batch has 8 images


def test_processes_vary_equal_images_differently(data: Data) -> None:
    image = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 3, 16, 16)
    twins = Images(labels=np.zeros(2, np.int64), read=lambda rows, side: image[rows * 0])
    found = [
        next(
            iter(
                Batches(twins, batch=2, side=16, data=data, seed=1, epoch=0, shuffle=False,
                        augment=Augment(crop=0.2), group=ProcessGroup(rank=rank, size=2))
            )
        )[0]
        for rank in range(2)
    ]  # fmt: skip
    assert not torch.equal(*found)
