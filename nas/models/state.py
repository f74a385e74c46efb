"""Save and load the state of a training: tensors by name, and facts as plain data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from nas.core import strict_json
from nas.core.errors import BadFile
from nas.core.files import atomic_path
from nas.network.checkpoint import HEADER, MODEL

OPTIMIZER = "optimizer."


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write `tensors` and `facts` (plain data) to `path` atomically.

    Raises:
        BadFile: if it cannot be written.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, metadata={HEADER: strict_json.dumps(facts)})
        except SafetensorError as error:
            raise OSError(f"{error}") from None


def load(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the checkpoint at `path`, on the CPU.

    Raises:
        BadFile: if it is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadFile(f"{path} is damaged: {error}") from None


def model_tensors(model: nn.Module, prefix: str = MODEL) -> dict[str, Tensor]:
    """Return the weights and running statistics of `model`, not copied."""
    return {
        prefix + name: value
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }


def optimizer_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the moving averages of `optimizer`, named "optimizer.WEIGHT.AVERAGE"."""
    return {
        f"{OPTIMIZER}{name}.{key}": value
        for name, param in model.named_parameters()
        for key, value in optimizer.state.get(param, {}).items()
    }


def restore_model(model: nn.Module, tensors: Mapping[str, Tensor], prefix: str = MODEL) -> None:
    """Set the weights of `model` in place from those `tensors` whose names begin with `prefix`.

    Raises:
        BadFile: if one is missing or has another shape.
    """
    for name, value in model_tensors(model, prefix).items():
        found = tensors.get(name)
        if found is None or found.shape != value.shape:
            raise BadFile(f"the checkpoint is of another architecture: {name} does not fit")
        value.copy_(found)


def restore_optimizer(
    optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Set the moving averages of `optimizer`, in the memory layout of its parameters.

    In another layout the same arithmetic would run in another order, and round differently.
    """
    for name, param in model.named_parameters():
        for key, value in _of_weight(tensors, name):
            # a step count is a scalar, and stays on the CPU unless the optimizer is fused
            fits = value.shape == param.shape
            device = param.device if fits or param.is_cuda else value.device
            place = torch.empty_like(param) if fits else torch.empty_like(value, device=device)
            optimizer.state[param][key] = place.copy_(value).detach()


def _of_weight(tensors: Mapping[str, Tensor], weight: str) -> Iterator[tuple[str, Tensor]]:
    start = f"{OPTIMIZER}{weight}."
    for name, value in tensors.items():
        if name.startswith(start) and "." not in name[len(start) :]:
            yield name.removeprefix(start), value
