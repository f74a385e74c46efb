"""The state of a training, and one step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.models import state as checkpoint
from nas.models.build import NORM_MOMENTUM, Network
from nas.models.quantized import QuantizedNetwork
from nas.network.blocks import Architecture
from nas.network.checkpoint import AVERAGE
from nas.network.weights import Weights
from nas.training.batches import Batch
from nas.training.distill import Teacher
from nas.training.ema import ModelEma
from nas.training.evaluate import autocast, placed
from nas.training.job import TrainingJob
from nas.training.optim import build_optimizer
from nas.training.process_group import running_statistics
from nas.training.schedule import learning_rate, warm_decay
from nas.training.trained import random_model, with_weights


def trainable(arch: Architecture, weights: Weights) -> Network:
    """Return the torch model of `arch` with a copy of its `weights`, in training mode."""
    tensors = {name: torch.tensor(value) for name, value in weights.items()}
    return with_weights(arch, tensors).train()


def initial_model(job: TrainingJob) -> nn.Module:
    """Return the model that the training `job` begins with, on the CPU, in training mode."""
    if job.shared:
        return job.shared.build(job.seed)
    weights = job.options.weights
    model = trainable(job.arch, weights) if weights else random_model(job.arch, seed=job.seed)
    if not job.options.quantize:
        return model
    from nas.training.int8.aware import quantized  # brings onnxruntime

    return quantized(model, job).train()


class Stepper:
    """A model in training with its average, its optimizer and, if it has one, its teacher.

    The random numbers of a step (dropout, drop-connect) depend on the seed and the step alone, so
    that a resumed training draws the same ones.
    """

    def __init__(
        self, job: TrainingJob, *, device: torch.device, teacher: Teacher | None = None
    ) -> None:
        """Build the model of `job` on `device`, with its weights, or some drawn with its seed."""
        self.recipe, self.seed, self.group = job.recipe, job.seed, job.options.group
        self.device = device
        self.model = initial_model(job)
        self._shared = job.shared
        placed(self.model, device)
        self._loss = job.task.loss(job.recipe, device)
        self._distillation = job.task.distillation(job.recipe, device)
        self._wrapped = self.model if job.shared else self.group.wrapped(self.model)
        self.average = ModelEma(self.model, decay=self.recipe.ema)
        self.optimizer = build_optimizer(self.recipe, self.model)
        self.teacher = teacher
        if teacher:
            placed(teacher, device)
        half = device.type == "cuda" and not torch.cuda.is_bf16_supported()
        self.scaler = torch.amp.GradScaler(device.type, enabled=half)
        self._norms = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]

    def step(self, batches: Sequence[Batch], *, step: int, steps_an_epoch: int) -> Tensor:
        """Change the weights once, for all `batches`; return the mean loss, on the device.

        `step` counts from 0 over all epochs.
        """
        self._prepare(step, steps_an_epoch)
        losses = [self._backward(batch, len(batches)) for batch in batches]
        if self._shared:
            self.group.mean_([p.grad for p in self.model.parameters() if p.grad is not None])
        if self.recipe.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _prepare(self, step: int, steps_an_epoch: int) -> None:
        """Set what depends on the step: random numbers, the rate, momentum of the statistics."""
        rank = 0 if self._shared else self.group.rank  # all train the same networks in a step
        seeds = np.random.SeedSequence((self.seed, step, rank))
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))
        lr = learning_rate(self.recipe, step=step, steps_an_epoch=steps_an_epoch)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = lr
        momentum = 1 - warm_decay(1 - NORM_MOMENTUM, step)
        if self._norms and self._norms[0].momentum != momentum:
            for norm in self._norms:
                norm.momentum = momentum

    def _backward(self, batch: Batch, parts: int) -> Tensor:
        losses = [self._one(loss / parts) for loss in self._losses(batch)]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _one(self, loss: Tensor) -> Tensor:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's
        return loss.detach()

    def _losses(self, batch: Batch) -> Iterator[Tensor]:
        """Return the losses of a batch, whose sum is to be minimised."""
        if self._shared:
            return self._shared.losses(self._wrapped, batch, self._loss)
        return iter([self._loss_of(batch)])

    def _loss_of(self, batch: Batch) -> Tensor:
        images, targets = batch
        with autocast(self.device):
            outputs = self._wrapped(images)
            taught = self.teacher(images) if self.teacher else None
        loss = self._loss(outputs, targets)
        if taught is None:
            return loss
        share = self.recipe.distillation
        return (1 - share) * loss + share * self._distillation(outputs, taught)

    def settle(self) -> None:
        """Give all processes of the group the same running statistics: their means."""
        self.group.mean_(running_statistics(self.model))
        if self.recipe.ema:
            self.group.mean_(running_statistics(self.average.model))

    @property
    def lr(self) -> float:
        """The rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to validate and keep, on the CPU, as a copy."""
        return {
            name: value.detach().to("cpu", copy=True)
            for name, value in checkpoint.model_tensors(self.average.model, AVERAGE).items()
        }

    @property
    def quantized(self) -> tuple[str, ...]:
        """The values that the model rounds in ranges of its own."""
        return self.model.values if isinstance(self.model, QuantizedNetwork) else ()

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that a checkpoint holds, by name."""
        found = checkpoint.model_tensors(self.model)
        if self.recipe.ema:
            found |= checkpoint.model_tensors(self.average.model, AVERAGE)
        return found | checkpoint.optimizer_tensors(self.optimizer, self.model)

    def restore(self, tensors: Mapping[str, Tensor], scaler: Mapping[str, Any]) -> None:
        """Resume from `tensors` and the state of the loss scaler.

        Raises:
            BadFile: if they are of another architecture.
        """
        checkpoint.restore_model(self.model, tensors)
        if self.recipe.ema:
            checkpoint.restore_model(self.average.model, tensors, AVERAGE)
        checkpoint.restore_optimizer(self.optimizer, self.model, tensors)
        with suppress(RuntimeError):  # of a scaler that is not in use
            self.scaler.load_state_dict(dict(scaler))
