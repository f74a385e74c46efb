"""Supernets trained together: shares of a batch come to what one worker makes of all of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import supernets  # noqa: E402

from nas.training.process_group import ProcessGroup  # noqa: E402
from nas.training.steps import Stepper  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

COUNT, STEP = 2, 3


def stepper(group: ProcessGroup) -> Stepper:
    job = supernets.job(recipe="quick:batch=16,ema=0")
    stepper = Stepper(job, device=torch.device("cpu"))
    stepper.group = group
    return stepper


def batch(rows: Any) -> Any:
    """Return some images of one batch, the same for all."""
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return images[rows], (torch.arange(16) % 2)[rows]


def peer(rank: int, folder: Path) -> None:
    """Do a step in one of the processes."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), COUNT)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=COUNT)
    group = ProcessGroup(rank=rank, size=COUNT)
    found = stepper(group)
    found.step([batch(group.share(np.arange(16)))], step=STEP, steps_an_epoch=10)
    np.savez(folder / f"{rank}.npz", **_weights(found))
    torch.distributed.destroy_process_group()


def _weights(found: Stepper) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in found.model.named_parameters()}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where the processes left their weights."""
    folder = tmp_path_factory.mktemp("group")
    code = f"""
import sys; sys.path[:0] = {[str(Path(file).parent) for file in (__file__, supernets.__file__)]!r}
from pathlib import Path; import test_together
test_together.peer(int(sys.argv[1]), Path(sys.argv[2]))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(folder)], stderr=subprocess.PIPE, text=True
        )
        for rank in range(COUNT)
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * COUNT, said
    return folder


def test_a_step_is_that_of_one_worker_which_adds_the_shares_up(left: Path) -> None:
    """Its random numbers begin again for each share, so that it draws the same networks for it."""
    alone = stepper(ProcessGroup())
    start = {name: value.copy() for name, value in _weights(alone).items()}
    shares = [ProcessGroup(rank=rank, size=COUNT).share(np.arange(16)) for rank in range(COUNT)]
    for rows in shares:
        alone._prepare(STEP, 10)
        alone._backward(batch(rows), COUNT)
    torch.nn.utils.clip_grad_norm_(alone.model.parameters(), alone.recipe.clip or float("inf"))
    alone.optimizer.step()
    wanted = _weights(alone)
    assert any(not np.array_equal(start[name], value) for name, value in wanted.items())
    for rank in range(COUNT):
        with np.load(left / f"{rank}.npz") as found:
            for name, value in wanted.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
