"""Train an architecture on data by a recipe, and resume where a training stopped."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.core.data import as_json
from nas.core.errors import BadValue
from nas.core.run_folder import SUPERNET, TRAINING
from nas.models.quantized import QuantizedNetwork
from nas.network.blocks import Architecture
from nas.network.checkpoint import AVERAGE
from nas.network.lineage import with_lineage
from nas.network.lowering import lower
from nas.network.weights import check_weights, fingerprint
from nas.network.zoo import load_architecture
from nas.training.auto import resolve_auto
from nas.training.data import Data, load_data
from nas.training.distill import Teacher, load_teacher
from nas.training.evaluate import pick_device
from nas.training.folder import TrainingFolder
from nas.training.job import Options, TrainingJob
from nas.training.loop import Loop, read_progress
from nas.training.recipe_files import find_recipe
from nas.training.recipes import Recipe, as_plain
from nas.training.steps import Stepper
from nas.training.task import check_batch, check_resolution, for_classes
from nas.training.tasks.find import task_of
from nas.training.trained import with_weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """The result of a training.

    `value` is the best that `metric` was on the validation images (`top1` of a classifier, `map` of
    a detector), in epoch `best_epoch`, and `model` has the weights of that epoch, on the CPU; None
    and the present weights before the first validation. One trained with quantization rounds.
    `epochs` are done, `finished` tells whether these are all, `interrupted` whether Ctrl-C ended
    it, `seconds` count all runs. `history` holds the metrics of each epoch.
    """

    arch: Architecture
    model: nn.Module
    metric: str
    value: float | None
    best_epoch: int
    epochs: int
    seconds: float
    finished: bool
    interrupted: bool
    history: tuple[Mapping[str, Any], ...]
    out: Path | None

    @property
    def top1(self) -> float | None:
        """The best accuracy of a classifier."""
        return self.value if self.metric == "top1" else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics of the best epoch."""
        best = next((one for one in self.history if one["epoch"] == self.best_epoch), {})
        return {name: best[name] for name in task_of(self.arch).metrics if name in best}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortTrainingResult:
    """The result of a short training, without its network.

    `value` is the best that its metric was, a fraction: top-1 accuracy, AP of a detector.
    """

    value: float
    epochs: int
    seconds: float


def train(
    arch: Architecture | str,
    data: Data | str,
    recipe: Recipe | str = "auto",
    *,
    seed: int = 0,
    out: Path | str | None = None,
    options: Options = Options(),  # noqa: B008  # frozen
) -> Trained:
    """Train `arch`, with a classifier for the classes of `data`, and return the result.

    Each may be given by its name, as in `train("mobilenet_v2", "digits", "quick:epochs=5")`: a
    bundled architecture or a file, a source of images, a recipe with options. With `out` everything
    is kept in that folder, and an interrupted training is resumed there; on a CPU with the same
    number of threads it ends with the same weights as without the interruption. An interrupt
    (Ctrl-C) ends it early: the result then says that it is not finished.

    Raises:
        Diverged: if the loss is no number any more.
        OutOfMemory: if a batch does not fit.
        NasError: as `plan` does, or if the folder holds another training.
    """
    arch = load_architecture(arch) if isinstance(arch, str) else arch
    data = load_data(data) if isinstance(data, str) else data
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    job = plan(arch, data, recipe, seed=seed, options=options)
    return run_training(job, Path(out) if out else None)


def plan(
    arch: Architecture,
    data: Data,
    recipe: Recipe,
    *,
    seed: int = 0,
    options: Options = Options(),  # noqa: B008  # frozen
) -> TrainingJob:
    """Return the training of `arch` by `recipe`, both made for `data`; see `train`.

    Raises:
        NasError: if the architecture does not fit the data, or the weights to begin with do not
            fit the architecture.
    """
    begun = options.weights or options.weights_fingerprint
    recipe = fit_recipe(recipe, data, from_scratch=not begun)
    share = max(recipe.batch // options.group.size, 1)
    arch = fit_to_data(arch, data, batch=share)
    if options.quantize and not begun:
        raise BadValue(
            "training with quantization begins with a trained network: give its `weights`",
            "quantize",
        )
    if options.weights:
        check_weights(lower(arch), options.weights)
    if options.normalisation:
        mean, deviation = options.normalisation
        data = replace(data, mean=mean, deviation=deviation)
    return TrainingJob(arch=arch, data=data, recipe=recipe, seed=seed, options=options)


def complete_training(job: TrainingJob, out: Path | None = None) -> Trained:
    """Do what `train` does for a planned training, but raise on an interrupt.

    Raises:
        KeyboardInterrupt: on Ctrl-C, with everything kept; the same call resumes.
    """
    trained = run_training(job, out)
    if trained.interrupted:
        raise KeyboardInterrupt
    return trained


def run_training(job: TrainingJob, out: Path | None = None) -> Trained:
    """Do what `train` does for a planned training."""
    loop, interrupted = run_loop(job, out)
    return _result(loop, out, interrupted=interrupted)


def run_loop(job: TrainingJob, out: Path | None) -> tuple[Loop, bool]:
    """Train, in a folder if any; return the loop, and whether it was interrupted."""
    device = pick_device(job.options.device)
    job = replace(job, options=replace(job.options, device=str(device)))
    teacher = _teacher(job)
    with _own_random_numbers(device), _folder(out, job, teacher) as folder:
        loop = Loop(job, Stepper(job, device=device, teacher=teacher), folder)
        try:
            loop.run()
        except KeyboardInterrupt:
            return loop, True
    return loop, False


def is_finished(job: TrainingJob, out: Path) -> bool:
    """Tell whether the training in the folder `out`, if there is one, has all its epochs.

    Raises:
        RunError: if it is another training, or cannot be written.
    """
    with _folder(out, job, _teacher(job)) as folder:
        progress = folder.progress()
    if progress is None:
        return False
    return read_progress(progress, out).epoch >= job.recipe.epochs


def fit_to_data(arch: Architecture, data: Data, *, batch: int = 0) -> Architecture:
    """Return `arch` with outputs for the classes of `data`.

    `batch` is the size of the batches it will be trained with, 0 if it is not trained.

    Raises:
        BadValue: if it is not of colour images, or its resolution is too small for its strides,
            or for the size of the batches.
        NasError: if the data are of another task.
    """
    task_of(arch).check(data)
    if arch.input_channels != len(data.mean):
        raise BadValue(
            f"images have {len(data.mean)} channels, the architecture takes {arch.input_channels}",
            "input_channels",
        )
    check_resolution(arch)
    if batch:
        check_batch(arch, min(batch, len(data.train)))
    return for_classes(arch, len(data.classes))


def fit_recipe(recipe: Recipe, data: Data, *, from_scratch: bool = False) -> Recipe:
    """Return `recipe` for `data`: `resolve_auto`, and no flips where left and right differ."""
    images = len(data.train)
    recipe = resolve_auto(recipe, images=images, task=data.task, from_scratch=from_scratch)
    flip = recipe.augment.flip and data.mirrored
    recipe = replace(recipe, augment=replace(recipe.augment, flip=flip))
    boxed = recipe.boxes.flip and data.mirrored
    return replace(recipe, boxes=replace(recipe.boxes, flip=boxed))


def _teacher(job: TrainingJob) -> Teacher | None:
    if not job.options.teacher:
        return None
    return load_teacher(job.options.teacher, job.data, job.arch)


def _folder(out: Path | None, job: TrainingJob, teacher: Teacher | None) -> Any:
    """Return a context with the folder of the training, None where it leaves none."""
    if out is None:
        return nullcontext(None)
    settings = with_lineage(_settings(job, teacher), job.options.lineage)
    kind = SUPERNET if job.shared else TRAINING
    return closing(TrainingFolder(out, job.arch, settings, kind=kind, extend=job.options.extend))


def _settings(job: TrainingJob, teacher: Teacher | None) -> Mapping[str, Any]:
    """Return what decides the outcome of a training, as plain data."""
    by = {"name": job.options.teacher, "fingerprint": teacher.fingerprint} if teacher else None
    begin = job.options.weights
    weights_fingerprint = fingerprint(begin) if begin else job.options.weights_fingerprint
    name, usual = job.options.weights_name, job.options.normalisation
    more: dict[str, Any] = {"name": name} if name else {}
    more |= dict(zip(("mean", "deviation"), usual, strict=True)) if usual else {}
    settings: Mapping[str, Any] = as_json(
        {
            "arch": {"name": job.arch.name, "fingerprint": job.arch.fingerprint},
            "data": {"name": job.data.name, "fingerprint": job.data.fingerprint},
            "recipe": as_plain(job.recipe),
            "seed": job.seed,
            "teacher": by,
            **(
                {"weights": {"fingerprint": weights_fingerprint, **more}}
                if weights_fingerprint
                else {}
            ),
            **({"supernet": job.shared.settings} if job.shared else {}),
            **({"quantize": True} if job.options.quantize else {}),
        }
    )
    return settings


@contextmanager
def _own_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's random numbers as they were; on a GPU, let cuDNN pick its fastest kernels."""
    gpu = device.type == "cuda"
    fast = torch.backends.cudnn.flags(enabled=True, benchmark=True) if gpu else nullcontext()
    with torch.random.fork_rng([device] if gpu else []), fast:
        yield


def _result(loop: Loop, out: Path | None, *, interrupted: bool) -> Trained:
    weights = loop.best or loop.stepper.weights()
    plain = {name.removeprefix(AVERAGE): value for name, value in weights.items()}
    model: Any = with_weights(loop.job.arch, plain)
    if values := loop.stepper.quantized:
        blank = dict.fromkeys(values, (-1.0, 1.0))
        model = QuantizedNetwork(model, loop.job.arch, blank).eval()
        model.load_state_dict(plain, strict=False)
    return Trained(
        arch=loop.job.arch,
        model=model,
        metric=loop.job.task.metric,
        value=loop.now.best,
        best_epoch=loop.now.best_epoch,
        epochs=loop.now.epoch,
        seconds=loop.now.seconds,
        finished=not interrupted and loop.now.epoch == loop.job.recipe.epochs,
        interrupted=interrupted,
        history=tuple(loop.history),
        out=out,
    )
