"""Trainings as a practitioner would write them: a plain PyTorch loop with a few settings.

Nothing here comes from `nas.training`, with which it is compared, lest they share mistakes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images in memory, float32 of shape (count, 3, side, side), normalised, and their classes."""

    train: Tensor
    train_labels: Tensor
    val: Tensor
    val_labels: Tensor
    mirrored: bool
    """Whether mirror images keep their class, as those of digits do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Settings of a plain loop: one-cycle (Smith, 2018), label smoothing 0.1, flips.

    `crop` is the least area of a random crop, 0 for shifts by a sixteenth of the side. `mixup` is
    the alpha of Zhang et al. (2018), `erased` the probability of an erased square.
    """

    optimizer: str = "adamw"
    lr: float = 3e-3
    batch: int = 64
    decay: float = 0.01
    crop: float = 0.0
    mixup: float = 0.0
    erased: float = 0.0


PLAIN: Mapping[str, Plain] = {
    "adamw 3e-3": Plain(),
    "adamw 1e-3": Plain(lr=1e-3),
    "adamw 1e-2": Plain(lr=1e-2),
    "adamw 3e-3, batch 32": Plain(batch=32),
    "adamw 3e-3, crops": Plain(crop=0.5),
    "adamw 3e-3, crops and mixup": Plain(crop=0.5, mixup=0.2),
    "sgd 0.05": Plain(optimizer="sgd", lr=0.05, decay=5e-4),
    "sgd 0.2": Plain(optimizer="sgd", lr=0.2, decay=5e-4),
    "timm": Plain(optimizer="rmsprop", lr=0.008, decay=1e-5, crop=0.08, erased=0.2),
}
"""Eight settings to choose from, and what timm's script for MobileNetV3 says (RMSprop at 0.064 for
512 images, crops from 8 % of the area, erasing at 0.2), without its average of the weights, whose
decay of 0.9999 is made for a hundred times as many steps."""


def train(model: nn.Module, images: Images, how: Plain, *, epochs: int, seed: int) -> float:
    """Train `model` and return its accuracy after the last epoch."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # torch's
    optimizer = _optimizer(model, how)
    steps = len(images.train) // how.batch * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.lr, total_steps=steps)
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(images.train))
        for rows in torch.split(order, how.batch)[: len(order) // how.batch]:
            inputs, labels = _varied(images.train[rows], images, how), images.train_labels[rows]
            loss = _loss(model, inputs, labels, how.mixup)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return accuracy(model, images)


def accuracy(model: nn.Module, images: Images) -> float:
    """Return the accuracy of `model` on the validation images."""
    model.eval()
    with torch.no_grad():
        inputs, labels = (torch.split(t, 256) for t in (images.val, images.val_labels))
        parts = zip(inputs, labels, strict=True)
        right = sum(int((model(x).argmax(1) == y).sum()) for x, y in parts)
    return right / len(images.val)


def _optimizer(model: nn.Module, how: Plain) -> torch.optim.Optimizer:
    if how.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=how.lr, weight_decay=how.decay)
    if how.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=how.lr, momentum=0.9, nesterov=True, weight_decay=how.decay
        )
    return torch.optim.RMSprop(
        model.parameters(), lr=how.lr, alpha=0.9, eps=1e-3, momentum=0.9, weight_decay=how.decay
    )


def _loss(model: nn.Module, inputs: Tensor, labels: Tensor, mixup: float) -> Tensor:
    if not mixup:
        return F.cross_entropy(model(inputs), labels, label_smoothing=0.1)
    share = float(torch.distributions.Beta(mixup, mixup).sample())
    logits = model(share * inputs + (1 - share) * inputs.flip(0))
    one, other = (F.cross_entropy(logits, y, label_smoothing=0.1) for y in (labels, labels.flip(0)))
    return share * one + (1 - share) * other


def _varied(inputs: Tensor, images: Images, how: Plain) -> Tensor:
    inputs = _cropped(inputs, how.crop) if how.crop else _shifted(inputs)
    if images.mirrored:
        chosen = torch.rand(len(inputs)) < 0.5
        inputs = torch.where(chosen[:, None, None, None], inputs.flip(-1), inputs)
    if how.erased:
        inputs = _erased(inputs, how.erased)
    return inputs.contiguous(memory_format=torch.channels_last)


def _shifted(inputs: Tensor) -> Tensor:
    count, _, side, _ = inputs.shape
    most = max(1, side // 16)
    padded = F.pad(inputs, (most,) * 4).permute(0, 2, 3, 1)
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1))
    rows, columns = down + torch.arange(side), right + torch.arange(side)
    found = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2)


def _cropped(inputs: Tensor, least: float) -> Tensor:
    count = len(inputs)
    side = (least + (1 - least) * torch.rand(count)).sqrt()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, :, 2] = (2 * torch.rand(count, 2) - 1) * (1 - side[:, None])
    grid = F.affine_grid(theta, list(inputs.shape), align_corners=False)
    return F.grid_sample(inputs, grid, padding_mode="border", align_corners=False)


def _erased(inputs: Tensor, probability: float) -> Tensor:
    inputs, side = inputs.clone(), inputs.shape[-1]
    for number in torch.nonzero(torch.rand(len(inputs)) < probability)[:, 0].tolist():
        size = int(side * (0.1 + 0.4 * torch.rand(())))
        top, left = torch.randint(0, side - size + 1, (2,)).tolist()
        inputs[number, :, top : top + size, left : left + size] = torch.randn(3, size, size)
    return inputs
