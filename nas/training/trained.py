"""Trained networks as torch models, and their scores."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.core.errors import NasError
from nas.core.text import few
from nas.models.build import Network, build_model
from nas.models.state import model_tensors
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.network.layers import lower
from nas.network.weights import Weights
from nas.training.data import Data
from nas.training.task import for_classes


def network_of(found: Checkpoint) -> Network:
    """Return the torch model of a trained network, on the CPU, in evaluation mode."""
    return with_weights(found.arch, {k: torch.from_numpy(v) for k, v in found.weights.items()})


def with_weights(arch: Architecture, weights: Mapping[str, Tensor]) -> Network:
    """Return the torch model of `arch` with `weights`, on the CPU, in evaluation mode."""
    with torch.device("meta"):
        network = Network(arch)
    network.to_empty(device="cpu")
    network.load_state_dict(weights, strict=False)  # the counters of batches are not kept
    return network.eval()


def starting_weights(found: Checkpoint, data: Data, *, seed: int) -> Weights:
    """Return the weights of a trained network to begin a training on `data` with.

    Where it knows other classes, it gets a new classifier, drawn with `seed`.
    """
    if found.data.classes == data.classes:
        return found.weights
    arch = for_classes(found.arch, len(data.classes))
    classifier = f"{lower(arch)[-1].name}."
    drawn = model_tensors(build_model(arch, seed=seed), "")
    fresh = {name: drawn[name].numpy() for name in drawn if name.startswith(classifier)}
    kept = {k: v for k, v in found.weights.items() if not k.startswith(classifier)}
    return {**kept, **fresh}


def check_classes(found: Checkpoint, data: Data) -> None:
    """Refuse data with other classes than those of a trained network.

    Raises:
        NasError: naming both.
    """
    known = found.data.classes
    if known != data.classes:
        raise NasError(
            f"{found.path} tells {len(known)} classes of {found.data.name} apart ({few(known)}), "
            f"{data.name} has {len(data.classes)} ({few(data.classes)})"
        )
