"""The loop of a training: epochs of steps, validations, and checkpoints between them."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.core.errors import NasError
from nas.core.progress import Report
from nas.core.schema import Fraction, Reader, Seconds, Signed
from nas.network.blocks import Architecture, to_mapping
from nas.network.checkpoint import BEST, LAST, SUFFIX, DataMetadata
from nas.training.batches import Batch
from nas.training.data import Data
from nas.training.evaluate import memory_named
from nas.training.folder import TrainingFolder
from nas.training.job import TrainingJob
from nas.training.steps import Stepper
from nas.training.tasks.task import Scored

SECONDS_BETWEEN_REPORTS = 0.2
STEPS_BETWEEN_CHECKS = 25
"""Reading the loss of a GPU waits for it; on the CPU it is read in every step."""
_LOWER_RATE = "train again with a lower `lr`"


class Diverged(NasError):
    """A training whose loss is NaN or infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """How far a training is: finished epochs, batches of the next one, and steps in all.

    `loss` is the sum over the steps of this epoch; `top1` that of the last validation, None before
    the first, for which a detector has `map`; `best` the highest, of epoch `best_epoch`, from 1.
    `seconds` count all runs.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: Signed = 0.0
    top1: Fraction | None = None
    map: Fraction | None = None
    best: Fraction | None = None
    best_epoch: int = 0
    seconds: Seconds = 0.0
    scaler: Mapping[str, Any]


_METRICS = ("top1", "map")


def read_progress(progress: Mapping[str, Any], source: Path | str) -> TrainingProgress:
    """Return the progress in a checkpoint.

    Raises:
        Diverged: if its loss is no number; earlier versions saved such checkpoints.
        BadFile: naming `source` and what is wrong.
    """
    loss = progress.get("loss", 0.0)
    if loss is None or loss != loss:
        raise Diverged(f"{source}: the loss is no number; {_LOWER_RATE}")
    return Reader(source).record(progress, TrainingProgress)


class Loop:
    """A training in progress."""

    def __init__(self, job: TrainingJob, stepper: Stepper, folder: TrainingFolder | None) -> None:
        """Begin, or resume from the last checkpoint in `folder`."""
        self.job, self.stepper, self.folder = job, stepper, folder
        self.now = TrainingProgress(scaler={})
        self.best: dict[str, Tensor] = {}
        self.history: list[Mapping[str, Any]] = []
        self._resume()
        self.batches_an_epoch = len(job.batches(0))
        self.steps_an_epoch = -(-self.batches_an_epoch // job.recipe.accumulate)
        self._total = torch.tensor(self.now.loss, dtype=torch.float64, device=stepper.device)
        self._started = self._saved = time.monotonic()
        self._before, self._reported = self.now.seconds, 0.0

    def _resume(self) -> None:
        found = self.job.options.group.broadcast(self.folder.load() if self.folder else None)
        if found:
            tensors, progress = found
            self.now = read_progress(progress, "the last checkpoint")
            self.stepper.restore(tensors, self.now.scaler)
            self.best = (self.folder.best() if self.folder else None) or {}
        elif self.job.options.weights_fingerprint:
            raise NasError("the last checkpoint is gone, and so are the weights to begin with")
        if self.folder:
            self.history.extend(self.folder.rewind(self.now.epoch))

    def run(self) -> None:
        """Train to the end, or as far as the options say, and save.

        Raises:
            Diverged: if the loss is no number any more.
            OutOfMemory: if a batch does not fit.
        """
        with memory_named(self.job.recipe.batch, self.job.arch.resolution):
            until = min(self.job.options.until or self.job.recipe.epochs, self.job.recipe.epochs)
            while self.now.epoch < until:
                if not self.epoch():
                    self._save()
                    return
                self._validate()

    def epoch(self) -> bool:
        """Do the rest of an epoch; return whether there was time for all of it."""
        batches = self.job.batches(self.now.epoch, self.now.batch)
        for part in _parts(batches, self.job.recipe.accumulate):
            loss = self.stepper.step(part, step=self.now.step, steps_an_epoch=self.steps_an_epoch)
            self._total += loss
            done = self.now.batch + len(part)
            self.now = replace(self.now, batch=done, step=self.now.step + 1)
            self._check_and_report()
            if self._is_due():
                self._save()
            if 0 < self.job.options.seconds <= self._seconds():
                return done >= self.batches_an_epoch
        return True

    def _is_due(self) -> bool:
        """Tell whether to save now; rank 0 decides for its group."""
        group = self.job.options.group
        if group.size > 1 and self.now.step % STEPS_BETWEEN_CHECKS:
            return False
        return group.broadcast(time.monotonic() - self._saved >= self.job.options.save_seconds)

    def _check_and_report(self) -> None:
        """Check the loss now and then, and report the progress."""
        on_cpu = self.stepper.device.type == "cpu"
        if on_cpu or self.now.step % STEPS_BETWEEN_CHECKS == 0:
            self._check(float(self._total))
        now = time.monotonic()
        if self.job.options.report and now - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self._report_progress(self.job.options.report)

    def _report_progress(self, report: Report) -> None:
        epochs, images = self.job.recipe.epochs, len(self.job.data.train)
        done = self.now.epoch + self.now.batch / self.batches_an_epoch
        metric = self.job.task.metric
        best = "" if self.now.best is None else f", {metric} {self.now.best:.3f}"
        note = f"epoch {self.now.epoch + 1} of {epochs}{best}"
        report(round(done * images), epochs * images, note)

    def _check(self, loss: float) -> None:
        if not isfinite(loss):
            rate = f"{self.job.recipe.lr / 3:.1g}"
            by_sgd = self.job.recipe.name == "auto" and self.job.recipe.optimizer == "sgd"
            say = f"by `--recipe auto:optimizer=sgd,lr={rate}`" if by_sgd else f"{rate} say"
            raise Diverged(
                f"the loss is {loss} in epoch {self.now.epoch + 1}, step {self.now.step}, at a "
                f"rate of {self.stepper.lr:.3g}; {_LOWER_RATE}, {say}"
            )

    def _validate(self) -> None:
        """Finish an epoch: score the averaged weights, and keep them if they are the best.

        Of those that find nothing, as detectors do at first, the last are kept.
        """
        self._synchronise()
        found = self.job.score(self.stepper.average.model)
        self._check(found.loss)
        loss = float(self._total) / self.steps_an_epoch
        self._total.zero_()
        self.now = replace(self.now, epoch=self.now.epoch + 1, batch=0)
        scored: Any = {self.job.task.metric: found.value}
        self.now = replace(self.now, **scored)
        if (
            self.now.best is None
            or found.value > self.now.best
            or found.value == self.now.best == 0
        ):
            self.now = replace(self.now, best=found.value, best_epoch=self.now.epoch)
            self.best = self.stepper.weights()
            self._write(BEST, self.best)
        self._log(loss, found)
        self._save()

    def _synchronise(self) -> None:
        """Give all processes the same running statistics and loss: their means."""
        self.stepper.settle()
        self.job.options.group.mean_([self._total])
        self._check(float(self._total))

    def _log(self, loss: float, found: Scored) -> None:
        record = {
            "epoch": self.now.epoch,
            "step": self.now.step,
            "lr": self.stepper.lr,
            "loss": loss,
            "val_loss": found.loss,
            **found.metrics,
            "seconds": round(self._seconds(), 3),
        }
        self.history.append(record)
        if self.folder:
            self.folder.log(record)

    def _save(self) -> None:
        """Save everything that is needed to resume."""
        self._synchronise()
        loss, scaler = float(self._total), self.stepper.scaler.state_dict()
        self.now = replace(self.now, loss=loss, seconds=self._seconds(), scaler=scaler)
        self._write(LAST, self.stepper.tensors())
        if self.best and self.folder and not self.folder.has(f"{BEST}{SUFFIX}"):
            self._write(BEST, self.best)  # the folder was removed meanwhile
        self._saved = time.monotonic()

    def _write(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        if self.folder:
            metric = self.job.task.metric
            now = {k: v for k, v in asdict(self.now).items() if k == metric or k not in _METRICS}
            now |= {metric: self.now.best} if name == BEST else {}
            found = checkpoint_metadata(self.job.arch, self.job.data, now)
            values = self.stepper.quantized
            self.folder.save(name, tensors, {**found, "quantized": values} if values else found)

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._started


def checkpoint_metadata(
    arch: Architecture, data: Data, progress: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts of a checkpoint; `progress` has the task's metric, if anything."""
    return {
        "arch": to_mapping(arch),
        "data": {field.name: getattr(data, field.name) for field in fields(DataMetadata)},
        "progress": dict(progress),
    }


def _parts(batches: Iterable[Batch], size: int) -> Iterator[tuple[Batch, ...]]:
    """Yield `size` batches at a time; the last part may be shorter."""
    rest = iter(batches)
    while part := tuple(islice(rest, size)):
        yield part
