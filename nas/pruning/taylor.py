"""Estimate how the loss would change without a channel, to first order."""

from dataclasses import replace
from itertools import islice

import numpy as np

from nas.models.build import Network
from nas.network.blocks import Architecture
from nas.network.weights import Weights
from nas.pruning.slicing import Effects, Floats
from nas.training.batches import Batches
from nas.training.evaluate import memory_named, pick_device, placed
from nas.training.fine_tune import FineTuningSetup
from nas.training.steps import trainable
from nas.training.tasks.find import task_of

BATCHES = 4
_NORM = "norm.weight"


def effects(
    setup: FineTuningSetup, arch: Architecture, weights: Weights, *, number: int
) -> Effects:
    """Return the effect of every channel of a network on the loss of some training images.

    Removing a channel sets its weights to 0, which changes the loss, to first order, by the sum of
    products of these weights and their gradients. The weights are the scale and shift of the
    normalisation if there is one (Molchanov et al., 2019), else a row of the weight matrix. The
    result is the mean of the absolute sums over a few batches, chosen by `number`; running
    statistics and dropout are as in validation.
    """
    model = trainable(arch, weights)
    device = pick_device(setup.device)
    placed(model, device)
    model.eval()
    batches = Batches(
        setup.data.train, batch=setup.recipe.batch, side=arch.resolution, data=setup.data,
        seed=setup.seed, epoch=number, shuffle=True, device=str(device),
    )  # fmt: skip
    loss = task_of(arch).loss(replace(setup.recipe, label_smoothing=0.0), device)
    found: dict[str, list[Floats]] = {}
    with memory_named(setup.recipe.batch, arch.resolution):
        for images, labels in islice(batches, BATCHES):
            model.zero_grad()
            loss(model(images), labels).backward()  # type: ignore[no-untyped-call]  # torch's
            for name, sums in _sums(model).items():
                found.setdefault(name, []).append(np.abs(sums))
    return {name: np.mean(each, axis=0) for name, each in found.items()}


def _sums(model: Network) -> dict[str, Floats]:
    """Return the sums of weight times gradient for every channel, by the name of the weight."""
    weights = dict(model.named_parameters())
    products = {
        name: (value * value.grad).detach().double().flatten(1 if value.dim() > 1 else 0)
        for name, value in weights.items()
        if value.grad is not None
    }
    result = {}
    for name, product in products.items():
        stem, _, kind = name.rpartition("weight")
        if kind or (not name.endswith(_NORM) and f"{stem}{_NORM}" in weights):
            continue
        total = product.sum(1) if product.dim() > 1 else product
        bias = products.get(f"{stem}bias")
        result[name] = (total if bias is None else total + bias).cpu().numpy()
    return result
