"""Processes that score a detector together get the result of one alone."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("faster_coco_eval")

sys.path.append(str(Path(__file__).parents[1]))  # for the processes
from detectors import tiny_detector  # noqa: E402

from nas.training.data import load_data  # noqa: E402
from nas.training.evaluate import in_order  # noqa: E402
from nas.training.process_group import ProcessGroup  # noqa: E402
from nas.training.run import fit_to_data  # noqa: E402
from nas.training.tasks.find import task_of  # noqa: E402
from nas.training.trained import random_model  # noqa: E402

pytestmark = pytest.mark.torch

COUNT = 2


def peer(rank: int, folder: Path) -> None:
    """Score in one of the processes, together and alone."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), COUNT)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=COUNT)
    data = load_data("digits_scenes:images=22,classes=1")
    arch = fit_to_data(tiny_detector("ssd", side=32), data)
    model, task = random_model(arch, seed=0), task_of(arch)
    alone = in_order(data.val, data, side=32, batch=5, device=torch.device("cpu"))
    together = replace(alone, group=ProcessGroup(rank=rank, size=COUNT))
    found = [task.score(model, batches) for batches in (together, alone)]
    (folder / f"{rank}.json").write_text(
        json.dumps([[*one.metrics.values(), one.images] for one in found])
    )
    torch.distributed.destroy_process_group()


def test_shares_of_the_images_give_the_score_of_all(tmp_path: Path) -> None:
    words = [sys.executable, __file__, str(tmp_path)]
    processes = [subprocess.Popen([*words, str(rank)]) for rank in range(COUNT)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    for rank in range(COUNT):
        together, alone = json.loads((tmp_path / f"{rank}.json").read_text())
        assert together == alone
        assert alone[-1] == 11
        assert alone[0] > 0, "a score of nothing would be equal in any case"


if __name__ == "__main__":
    peer(int(sys.argv[2]), Path(sys.argv[1]))
