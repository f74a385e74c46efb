"""Measure images per second of our training loop over a bare torch loop; asserts nothing.

python tests/bench/training.py [--arch mobilenet_v3_small] [--resolution 64] [--recipe quick ...]

Both train the same model with the same optimizer, loss and precision, on the same device, in turn,
epoch by epoch in one process; the ratios are medians over the rounds, of the time on the clock and
of the processor's, which other programs on the machine disturb less. The bare loop has every batch
ready in memory, as normalised tensors on the device: no reading, no augmentation, no average of the
weights, no clipping. Ours reads the images of a dataset and does all of this. Neither includes
validation.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch  # noqa: TID253  # a benchmark of torch code

from nas.models.build import build_model
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.training.data import load_data
from nas.training.evaluate import autocast, pick_device, placed
from nas.training.job import Options, TrainingJob
from nas.training.loop import Loop
from nas.training.optim import build_optimizer
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import fit_recipe, fit_to_data
from nas.training.steps import Stepper


def our_loop(job: TrainingJob, device: torch.device) -> Callable[[], None]:
    """Return a function that trains for one epoch with our loop."""
    stepper = Stepper(job, device=device)
    loop = Loop(job, stepper, None)

    def epoch() -> None:
        loop.now = type(loop.now)(scaler={}, step=loop.now.step % loop.steps_an_epoch)
        loop.epoch()
        float(loop._total)

    return epoch


def bare_loop(job: TrainingJob, device: torch.device) -> Callable[[], None]:
    """Return a function that trains for one epoch over tensors in memory."""
    batches = list(job.batches(0))
    model = build_model(job.arch)
    placed(model, device)
    optimizer = build_optimizer(job.recipe, model)
    loss_of = job.task.loss(job.recipe, device)

    def epoch() -> None:
        loss = torch.zeros(())
        for images, targets in batches:
            with autocast(device):
                outputs = model(images)
            loss = loss_of(outputs, targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()

    return epoch


def seconds_of(call: Callable[[], None]) -> tuple[float, float]:
    """Return the time on the clock and the processor's time that `call` takes."""
    start, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - used


def compare(
    job: TrainingJob, device: torch.device, rounds: int
) -> tuple[float, float, float, float]:
    """Return images a second of both loops, and their ratios by the clock and the processor."""
    ours, bare = our_loop(job, device), bare_loop(job, device)
    images = len(job.batches(0)) * job.recipe.batch
    for loop in (ours, bare, ours, bare):
        loop()
    times = [(*seconds_of(ours), *seconds_of(bare)) for _ in range(rounds)]
    clock = median(row[2] / row[0] for row in times)
    processor = median(row[3] / row[1] for row in times)
    ours_clock, _, bare_clock, _ = (median(column) for column in zip(*times, strict=True))
    return images / ours_clock, images / bare_clock, clock, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default="mobilenet_v3_small")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--recipe", nargs="+", default=["quick", "adamw", "efficientnet"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device, data = pick_device(asked.device), load_data(asked.data)
    arch = fit_to_data(scale_resolution(load_architecture(asked.arch), asked.resolution), data)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{asked.arch} at {asked.resolution}, batches of {asked.batch}, {name}, "
          f"{asked.threads} threads, torch {torch.__version__}")  # fmt: skip
    for recipe_name in asked.recipe:
        recipe = fit_recipe(adapt(find_recipe(recipe_name), batch=asked.batch), data)
        job = TrainingJob(arch=arch, data=data, recipe=recipe, seed=0,
                  options=Options(device=str(device), save_seconds=1e9))  # fmt: skip
        ours, bare, clock, processor = compare(job, device, asked.rounds)
        print(f"{recipe_name:13} {ours:8,.0f} images a second, bare {bare:8,.0f}: ratio "
              f"{clock:.3f} by the clock, {processor:.3f} by the processor")  # fmt: skip


if __name__ == "__main__":
    main()
