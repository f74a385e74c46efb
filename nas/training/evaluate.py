"""Score a model on labelled images."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.core.errors import NasError, UnknownName
from nas.training.batches import Batches
from nas.training.data import Data, Images
from nas.training.losses import cross_entropy
from nas.training.process_group import SINGLE, ProcessGroup

SPLITS = ("val", "test")


class OutOfMemory(NasError):
    """A batch that does not fit into the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The share of right answers, the mean cross-entropy, and the number of images."""

    top1: float
    loss: float
    images: int

    @property
    def value(self) -> float:
        """What epochs and networks are compared by."""
        return self.top1

    @property
    def metrics(self) -> Mapping[str, float]:
        """What is kept for an epoch."""
        return {"top1": self.top1}


def pick_device(name: str) -> torch.device:
    """Return the device called "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        NasError: if there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UnknownName(f"unknown device {name!r}; there are: auto, cpu, cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise NasError("torch finds no GPU; use `device=cpu`, or a torch with CUDA")
    return device


def placed(model: nn.Module, device: torch.device) -> None:
    """Move `model` to `device`, with its filters in the layout for images channels last."""
    model.to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch forgot it


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return the context of mixed precision: on a GPU, bfloat16 where it can, else half."""
    kind = torch.float16
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        kind = torch.bfloat16
    return torch.autocast(device.type, dtype=kind, enabled=device.type == "cuda")


def split_of(data: Data, name: str) -> Images:
    """Return the images of a split, "val" or "test".

    Raises:
        NasError: if there is no such split.
    """
    if name not in SPLITS:
        raise UnknownName(f"unknown split {name!r}; there are: {', '.join(SPLITS)}")
    images = data.val if name == "val" else data.test
    if images is None or not len(images):
        raise NasError(f"{data.name} has no {name} images")
    return images


def score(
    model: nn.Module, images: Images, data: Data, *, side: int, batch: int = 256,
    group: ProcessGroup = SINGLE,
) -> Score:  # fmt: skip
    """Return the score of `model`, on its device, on all of `images`, normalised as `data` says.

    The images are `side` x `side`, and not augmented; dropout is off, and the mode of `model` is
    restored. Each process of `group` scores its share, and gets the result of all.

    Raises:
        OutOfMemory: if a batch does not fit.
    """
    device = next(model.parameters()).device
    return score_batches(
        model, in_order(images, data, side=side, batch=batch, device=device, group=group)
    )


def in_order(
    images: Images, data: Data, *, side: int, batch: int, device: torch.device,
    group: ProcessGroup = SINGLE,
) -> Batches:  # fmt: skip
    """Return batches of all of `images`, as they come, not augmented, normalised as `data` says."""
    return Batches(
        images,
        batch=batch,
        side=side,
        data=data,
        seed=0,
        epoch=0,
        shuffle=False,
        device=str(device),
        group=group,
    )


def score_batches(
    model: nn.Module, batches: Batches, *, also: Callable[[Tensor, Tensor], None] | None = None
) -> Score:
    """Return the score of `model` on `batches`; `also` gets the logits and labels of each.

    Raises:
        OutOfMemory: if a batch does not fit.
    """
    group, device = batches.group, torch.device(batches.device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    count = torch.zeros((), dtype=torch.int64, device=device)
    with memory_named(batches.batch, batches.side), in_eval_mode(model), torch.inference_mode():
        for pixels, labels in batches:
            with autocast(device):
                logits = model(pixels)
            right += (logits.argmax(1) == labels).sum()
            loss += cross_entropy(logits, labels).double() * len(labels)
            count += len(labels)
            if also:
                also(logits, labels)
    images = int(group.sum_(count))
    right, loss = group.sum_(right), group.sum_(loss)
    return Score(top1=right.item() / images, loss=loss.item() / images, images=images)


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Turn dropout and the statistics of batches off in `model` for a while."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)


@contextmanager
def memory_named(batch: int, side: int) -> Iterator[None]:
    """Turn torch's error when memory is short into an `OutOfMemory` that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        half = max(1, batch // 2)
        raise OutOfMemory(
            f"out of memory with batches of {batch} images of {side}x{side}; "
            f"use `batch={half}` `accumulate=2`, or a lower `resolution`"
        ) from None


def _is_memory(error: Exception) -> bool:
    words = ("DefaultCPUAllocator", "out of memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
