"""Fine-tune networks for a short time, and score them on hold-out images."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from nas.core.schema import SCHEMA
from nas.models import state as checkpoint
from nas.network.blocks import Architecture
from nas.network.checkpoint import MODEL
from nas.network.weights import Weights
from nas.training.data import Data, Images, fingerprint_of, subset
from nas.training.datasets._split import split
from nas.training.evaluate import in_order, pick_device, placed
from nas.training.job import MIN_SCORED, Options
from nas.training.loop import checkpoint_metadata
from nas.training.recipes import Recipe, adapt
from nas.training.run import ShortTrainingResult, complete_training, plan
from nas.training.steps import trainable
from nas.training.tasks.find import task_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FineTuningSetup:
    """What all fine-tunings share.

    Networks train on the training images of `data` and are scored on its validation images (see
    `held_out`), for `epochs`, or for `steps` where that is not 0; with both 0 they are only scored.
    """

    data: Data
    recipe: Recipe
    epochs: int
    steps: int = 0
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FineTuningTask:
    """One network to fine-tune, into the file at `path`; all of a `round` see the same images."""

    arch: Architecture
    weights: Weights
    round: int
    path: Path


def held_out(data: Data, share: float, *, seed: int) -> Data:
    """Return `data` whose validation images are a hold-out `share` of the training images.

    Every class gives its share. The original validation and test images are not in the result.

    Raises:
        BadValue: if nothing is left to train on.
    """
    rest, part = split(data.train.labels, (share,), seed=seed)
    return replace(
        data,
        train=subset(data.train, rest),
        val=subset(data.train, part),
        test=None,
        fingerprint=fingerprint_of([data.fingerprint, f"held out {share} {seed}"]),
    )


def fine_tune(setup: FineTuningSetup, task: FineTuningTask) -> ShortTrainingResult:
    """Fine-tune one network, save its weights, and return its metric on the hold-out images.

    Raises:
        Diverged: if the loss is no number any more.
        OutOfMemory: if a batch does not fit.
        KeyboardInterrupt: if it was interrupted.
    """
    started = time.monotonic()
    if setup.epochs or setup.steps:
        data, recipe = _allotted(setup, task.round)
        options = Options(device=setup.device, weights=task.weights)
        seed = setup.seed + task.round
        trained = complete_training(plan(task.arch, data, recipe, seed=seed, options=options))
        assert trained.value is not None
        model, value, epochs = trained.model, trained.value, trained.epochs
    else:
        model, epochs = trainable(task.arch, task.weights), 0
        value = accuracy(setup, model, setup.data.val, task.arch)
    save(task.path, model, task.arch, setup.data, value)
    return ShortTrainingResult(value=value, epochs=epochs, seconds=time.monotonic() - started)


def _allotted(setup: FineTuningSetup, round_number: int) -> tuple[Data, Recipe]:
    """Return data and recipe of a round: with fewer steps than an epoch, as many images."""
    data, recipe = setup.data, setup.recipe
    count = len(data.train)
    wanted = setup.steps * recipe.images_a_step
    epochs = max(1, round(wanted / count)) if setup.steps else setup.epochs
    if 0 < wanted < count:
        rows = np.random.default_rng([setup.seed, round_number]).permutation(count)[:wanted]
        data = replace(data, train=subset(data.train, np.sort(rows)))
    return data, adapt(recipe, epochs=epochs, accumulate=recipe.accumulate)


def accuracy(setup: FineTuningSetup, model: nn.Module, images: Images, arch: Architecture) -> float:
    """Return how good `model`, that of `arch`, is on `images`, by the metric of its task."""
    device = pick_device(setup.device)
    placed(model, device)
    batch = max(setup.recipe.batch, MIN_SCORED)
    batches = in_order(images, setup.data, side=arch.resolution, batch=batch, device=device)
    return task_of(arch).score(model, batches).value


def save(path: Path, model: nn.Module, arch: Architecture, data: Data, value: float | None) -> None:
    """Keep a network as a checkpoint with the value of its metric."""
    content = {"schema": SCHEMA, **checkpoint_metadata(arch, data, {task_of(arch).metric: value})}
    checkpoint.save(path, checkpoint.model_tensors(model, MODEL), content)
