"""Trained networks as torch models, and their scores."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.core.errors import NasError
from nas.core.text import few
from nas.models.build import Network, build_model
from nas.models.quantized import QuantizedNetwork
from nas.models.state import model_tensors
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.network.weights import Array, Weights
from nas.training.batches import Batches
from nas.training.data import Data
from nas.training.evaluate import in_order, pick_device, placed, split_of
from nas.training.task import class_units, for_classes
from nas.training.tasks.find import task_of

_MAX_BOXED = 32


def network_of(found: Checkpoint) -> nn.Module:
    """Return the torch model of a trained network, on the CPU, in evaluation mode.

    One that was trained with quantization rounds as its int8 graph does.
    """
    plain = {name: torch.from_numpy(value) for name, value in found.weights.items()}
    network = with_weights(found.arch, plain)
    if not found.ranges:
        return network
    return QuantizedNetwork(network, found.arch, found.ranges).eval()


def with_weights(arch: Architecture, weights: Mapping[str, Tensor]) -> Network:
    """Return the torch model of `arch` with `weights`, on the CPU, in evaluation mode."""
    with torch.device("meta"):
        network = Network(arch)
    network.to_empty(device="cpu")
    network.load_state_dict(weights, strict=False)  # the counters of batches are not kept
    return network.eval()


def random_model(arch: Architecture, *, seed: int) -> Network:
    """Return the torch model of `arch`, freshly initialised as its task wants it, on the CPU."""
    model = build_model(arch, seed=seed)
    task_of(arch).initialise(model)
    return model


def to_score(
    found: Checkpoint, data: Data, *, split: str, device: str, batch: int
) -> tuple[nn.Module, Batches]:
    """Return a trained network on its device, and the images of a split for it.

    Raises:
        NasError: as `batches_for` does.
    """
    on = pick_device(device)
    batches = batches_for(found, data, split=split, device=on, batch=batch)
    model = network_of(found)
    placed(model, on)
    return model, batches


def batches_for(
    found: Checkpoint, data: Data, *, split: str, device: torch.device, batch: int
) -> Batches:
    """Return the images of a split for a trained network, normalised as in its training.

    Those of detectors are large: 32 at once, at most.

    Raises:
        NasError: if the data are of another task or have other classes, or there is no such split.
    """
    data = as_trained(found, data)
    images, side = split_of(data, split), found.arch.resolution
    batch = min(batch, _MAX_BOXED) if found.arch.detector else batch
    return in_order(images, data, side=side, batch=batch, device=device)


def as_trained(found: Checkpoint, data: Data) -> Data:
    """Return `data` normalised as in the training of a network.

    Raises:
        NasError: if they are of another task, or have other classes.
    """
    task_of(found.arch).check(data)
    check_classes(found, data)
    return replace(data, mean=found.data.mean, deviation=found.data.deviation)


def starting_weights(found: Checkpoint, data: Data, *, seed: int) -> Weights:
    """Return the weights of a trained network to begin a training on `data` with.

    Where it knows other classes, it gets a new classifier, drawn with `seed`.
    """
    if has_classes(found, data.classes):
        return found.weights
    return {**found.weights, **random_classifier(for_classes(found.arch, len(data.classes)), seed)}


def random_classifier(arch: Architecture, seed: int) -> dict[str, Array]:
    """Return the weights that the layers for classes of `arch` begin with, drawn with `seed`."""
    classifier = tuple(f"{name}." for name in class_units(arch))
    drawn = model_tensors(random_model(arch, seed=seed), "")
    return {name: drawn[name].numpy() for name in drawn if name.startswith(classifier)}


def has_classes(found: Checkpoint, classes: tuple[str, ...]) -> bool:
    """Tell whether a trained network tells these classes apart.

    Where nobody said what its classes are called, their number decides.
    """
    known = found.data.classes
    return known == classes if found.named else len(known) == len(classes)


def check_classes(found: Checkpoint, data: Data) -> None:
    """Refuse data with other classes than those of a trained network.

    Raises:
        NasError: naming both.
    """
    if has_classes(found, data.classes):
        return
    known, has = len(found.data.classes), f"{len(data.classes)} ({few(data.classes)})"
    if not found.named:
        raise NasError(
            f"{found.data.name} tells {known} classes apart, {data.name} has {has}; fine-tune it "
            f"first: nas train {found.arch.name or 'ARCH'} --weights {found.data.name} --data "
            f"{data.name} --out FOLDER, and give FOLDER here"
        )
    raise NasError(
        f"{found.path} tells {known} classes of {found.data.name} apart "
        f"({few(found.data.classes)}), {data.name} has {has}"
    )
