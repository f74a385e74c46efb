"""Measure the cost of a supernet's step relative to its networks' own passes.

python tests/bench/supernet.py [--space mbconv_64] [--batch 32] [--steps 8]

Every step's networks are also built alone, with weights of their own, and pass the same batch; the
ratio is of processor time, over the same steps. Images a second are those of whole steps, with the
optimizer, of the supernet and of the largest network's own training. Peaks of memory are those of
the process, of a supernet's step and of the largest network's own, each measured in a process of
its own. It asserts nothing.
"""

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace
from statistics import median

import torch  # noqa: TID253  # a benchmark of torch code

from nas.models.build import build_model
from nas.network.blocks import Architecture
from nas.space.file import load_space
from nas.supernet.run import plan_supernet
from nas.supernet.sandwich import SandwichTraining
from nas.training.batches import Batch
from nas.training.data import load_data
from nas.training.evaluate import placed
from nas.training.job import TrainingJob
from nas.training.losses import cross_entropy
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.steps import Stepper


def planned(space: str, batch: int) -> tuple[TrainingJob, SandwichTraining]:
    """Return the training of a supernet on the CPU."""
    data = load_data("shapes:count=512")
    job = plan_supernet(load_space(space), data, adapt(find_recipe("quick"), batch=batch))
    assert isinstance(job.shared, SandwichTraining)
    return replace(job, options=replace(job.options, device="cpu")), job.shared


def alone(arch: Architecture, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the processor time of a forward and a backward pass of one network."""
    model = build_model(arch)
    placed(model, torch.device("cpu"))
    if images.shape[-1] != arch.resolution:
        images = images[:, :, : arch.resolution, : arch.resolution]
    used = time.process_time()
    cross_entropy(model(images), labels).backward()
    return time.process_time() - used


def compare(job: TrainingJob, shared: SandwichTraining, steps: int) -> None:
    """Print the ratio of a supernet's passes to those of its networks."""
    batch: Batch = next(iter(job.batches(0)))
    model = shared.build(0)
    placed(model, torch.device("cpu"))
    ratios = []
    for step in range(steps + 1):
        torch.manual_seed(step)
        archs = (shared.largest, *shared.others())
        passes = sum(alone(arch, *batch) for arch in archs)
        torch.manual_seed(step)
        used = time.process_time()
        for loss in shared.losses(model, batch, cross_entropy):
            loss.backward()
        together = time.process_time() - used
        if step:  # the first one warms up
            ratios.append(together / passes)
            print(f"step {step}: {together:.2f} s, its networks alone {passes:.2f} s")
    print(f"a step costs {median(ratios):.2f} of what its networks cost alone (median)")


def speed(job: TrainingJob, steps: int) -> float:
    """Return the images that a training passes in a second of processor time."""
    stepper = Stepper(job, device=torch.device("cpu"))
    batch: Batch = next(iter(job.batches(0)))
    stepper.step([batch], step=0, steps_an_epoch=steps + 1)
    used = time.process_time()
    for step in range(1, steps + 1):
        stepper.step([batch], step=step, steps_an_epoch=steps + 1)
    return steps * len(batch[0]) / (time.process_time() - used)


def peak(job: TrainingJob, which: str) -> None:
    """Print the peak of this process in MiB after a step of a supernet, or of its largest."""
    own = job if which == "supernet" else replace(job, shared=None)
    stepper = Stepper(own, device=torch.device("cpu"))
    for step in range(2):
        stepper.step([next(iter(own.batches(0)))], step=step, steps_an_epoch=4)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Run the measurement in the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--space", default="mbconv_64")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--peak", choices=["supernet", "largest"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    job, shared = planned(given.space, given.batch)
    if given.peak:
        peak(job, given.peak)
        return
    for which in ("largest", "supernet"):
        command = [sys.executable, __file__, *sys.argv[1:], "--peak", which]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"peak of memory of a training of the {which}: {int(found):,} MiB")
    own, whole = (speed(one, given.steps) for one in (replace(job, shared=None), job))
    print(f"images a second of the largest network {own:.0f}, of the supernet {whole:.0f}")
    compare(job, shared, given.steps)


if __name__ == "__main__":
    main()
