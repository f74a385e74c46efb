"""Trained networks as torch models, and their scores."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nas.core.errors import NasError
from nas.core.text import few
from nas.models.build import Network, build_model
from nas.models.state import model_tensors
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.network.layers import lower
from nas.network.weights import Weights
from nas.training.data import Data
from nas.training.evaluate import Score, pick_device, placed, score, split_of
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


def score_checkpoint(
    text: str, data: Data, *, split: str = "val", device: str = "auto", batch: int = 256
) -> Score:
    """Score the trained network that `text` means on a split, "val" or "test".

    The images are normalised as in its training. `text` is a training folder (then its best),
    FOLDER:last, or a .safetensors file.

    Raises:
        NasError: if there is no such network or split, or the classes differ.
    """
    found = load_checkpoint(text)
    check_classes(found, data)
    images, model = split_of(data, split), network_of(found)
    placed(model, pick_device(device))
    own = replace(data, mean=found.data.mean, deviation=found.data.deviation)
    return score(model, images, own, side=found.arch.resolution, batch=batch)
