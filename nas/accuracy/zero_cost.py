"""Score untrained networks: zero-cost proxies from the literature, and plain counts.

A score is a function of an architecture, a batch of images, its labels and a seed for the weights;
larger is meant to be better. Each builds its own network, with the initialisation of `build_model`;
batch normalisation uses the statistics of the batch unless stated otherwise. `zero_cost_score`
checks the arguments.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from nas.core.errors import BadValue, NasError, unknown
from nas.models.build import Network, build_model
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost
from nas.training.batches import Batch, Batches
from nas.training.data import Data
from nas.training.losses import cross_entropy
from nas.training.task import check_resolution

Score = Callable[[Architecture, Tensor, Tensor, int], float]

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)
ZEN_STEP = 0.01
"""The size of the perturbation, alpha in the paper's algorithm 1."""


def params(arch: Architecture, *_: object) -> float:
    """Return the number of parameters, a baseline that every proxy should beat."""
    return float(cost(arch).params)


def macs(arch: Architecture, *_: object) -> float:
    """Return the multiply-adds at the architecture's own resolution, another baseline."""
    return float(cost(arch).macs)


@torch.no_grad()
def naswot(arch: Architecture, images: Tensor, labels: Tensor, seed: int) -> float:
    """Return how well the activations distinguish the images: log |K| of their binary codes.

    Mellor, Turner, Storkey, Crowley, "Neural Architecture Search without Training" (ICML 2021):
    s = log |K_H|, where K_H[i, j] is the number of activation units minus the Hamming distance
    between the codes of images i and j. In the paper the code says which ReLUs are active. Here it
    is the sign of the input of each activation: for ReLU and ReLU6 whether they are active
    (ignoring the second bend of ReLU6 at 6), and for h-swish and swish, which are not piecewise
    linear, whether the output is positive, as for the ReLU that they smooth. Activations inside
    squeeze-and-excitation count, gates do not.

    The score is minus infinity if two images have the same code.
    """
    model = build_model(arch, seed=seed).to(images.device)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def count_equal(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        signs = torch.where(inputs[0].flatten(1) > 0, 1.0, -1.0)
        kernel.add_((signs.shape[1] + signs @ signs.T) / 2)

    for module in model.modules():
        if isinstance(module, RECTIFIERS):
            module.register_forward_pre_hook(count_equal)
    model(images)
    units = kernel[0, 0]
    if (kernel == units).sum() > len(images):  # the determinant is exactly 0
        return float("-inf")
    return float(torch.linalg.slogdet(kernel).logabsdet)


def synflow(arch: Architecture, images: Tensor, labels: Tensor, seed: int) -> float:
    """Return the logarithm of the synaptic flow, which needs no image: the sum of w * dR/dw.

    Tanaka, Kunin, Yamins, Ganguli, "Pruning neural networks without any data by iteratively
    conserving synaptic flow" (NeurIPS 2020): R = 1^T |W_L| ... |W_1| 1, the sum of the outputs for
    an input of ones with the absolute values of all weights. As a score of networks, summed over
    the weights of convolutions and linear layers: Abdelfattah, Mehrotra, Dudziak, Lane, "Zero-Cost
    Proxies for Lightweight NAS" (ICLR 2021), section 3.2.

    As there, batch normalisation is the identity and numbers have double precision. Differences:
    the logarithm is returned, since R spans dozens of orders of magnitude (ranks are the same);
    activations are the identity, like ReLU for these inputs, which are never negative, because
    ReLU6 would stop the flow at 6. Gates of squeeze-and-excitation are unchanged.
    """
    model = build_model(_each_block(arch, act="none", se_act="none"), seed=seed)
    model.to(images.device, torch.float64)
    for norm in _norms(model):
        norm.eval()  # the initial statistics are 0 and 1
        norm.eps = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    weights = _weights(model)
    total = model(torch.ones_like(images[:1], dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(total, weights)
    flow = torch.stack([(w * g).sum() for w, g in zip(weights, gradients, strict=True)]).sum()
    return float(flow.detach().log())


def snip(arch: Architecture, images: Tensor, labels: Tensor, seed: int) -> float:
    """Return the connection sensitivity of the loss: the sum of |w * dL/dw|.

    Lee, Ajanthan, Torr, "SNIP: Single-shot network pruning based on connection sensitivity" (ICLR
    2019): s_j = |w_j * dL/dw_j|, without normalisation by the sum, which would make every network's
    score 1; summed over the weights of convolutions and linear layers as in Abdelfattah et al.
    (ICLR 2021), section 3.2. L is the mean cross-entropy of the batch.
    """
    pairs = _weights_and_gradients(arch, images, labels, seed)
    return float(torch.stack([(w * g).abs().sum() for w, g in pairs]).sum())


def grad_norm(arch: Architecture, images: Tensor, labels: Tensor, seed: int) -> float:
    """Return the sum over layers of the Euclidean norm of the loss's gradient.

    Abdelfattah, Mehrotra, Dudziak, Lane, "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021),
    section 3.1, for the weights of convolutions and linear layers. The loss is the mean
    cross-entropy of the batch.
    """
    pairs = _weights_and_gradients(arch, images, labels, seed)
    return float(torch.stack([g.norm() for _, g in pairs]).sum())


@torch.no_grad()
def zen(arch: Architecture, images: Tensor, labels: Tensor, seed: int) -> float:
    """Return the Zen-score: how far small random perturbations move the last feature maps.

    Lin, Wang, Sun, Chen, Sun, Qian, Li, Jin, "Zen-NAS: A Zero-Shot NAS for High-Performance Deep
    Image Recognition" (ICCV 2021), algorithm 1: with all convolutions drawn from N(0, 1) and no
    shortcuts, f are the feature maps before the global pooling, x and e are drawn from N(0, 1), and
    the score is log E |f(x) - f(x + 0.01 e)| plus, for every batch normalisation, the logarithm of
    the root of its mean variance, by which it has hidden the scale of what it normalises.

    The expectation is taken over one batch of the images' shape and one draw of the weights. The
    network keeps its activations where the paper has ReLU. Squeeze-and-excitation is removed, like
    the shortcuts: its gates, saturated by such weights, would hide the scale again.
    """
    generator = torch.Generator().manual_seed(seed)
    model = build_model(_each_block(arch, skip="none", se_channels=0), seed=seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, generator=generator)
    for norm in _norms(model):
        norm.momentum = 1.0  # so that the running variance is that of the last batch
    x, nudge = (torch.randn(images.shape, generator=generator).to(images) for _ in range(2))
    model.to(images.device)
    features = _features(model, x)
    variances = [v for name, v in model.named_buffers() if name.endswith("running_var")]
    hidden = torch.stack([variance.mean().sqrt().log() for variance in variances]).sum()
    moved = (features - _features(model, x + ZEN_STEP * nudge)).flatten(1).norm(dim=1).mean()
    return float(moved.log() + hidden)


SCORES: Mapping[str, Score] = {
    "naswot": naswot,
    "synflow": synflow,
    "snip": snip,
    "grad_norm": grad_norm,
    "zen": zen,
    "params": params,
    "macs": macs,
}
"""The functions of the scores, by name."""

LABELLED = ("snip", "grad_norm")
"""The scores that use the labels."""


def zero_cost_score(
    name: str, arch: Architecture, images: Tensor, labels: Tensor, *, seed: int
) -> float:
    """Return the score `name` of the untrained `arch`, with weights drawn with `seed`.

    `images` are normalised, of shape (n, channels, side, side), where side may differ from the
    architecture's resolution; the network is put on their device. `labels` are int64 of shape (n,),
    and used only by scores in `LABELLED`. Dropout and drop-connect are not applied. Torch's global
    random numbers are neither used nor changed.

    Unlike the predictions of models, a score is reproducible only on the same kind of processor:
    other processors draw weights and convolve with other instructions, which changes last digits.

    Raises:
        NasError: if there is no such score, the images or labels do not fit the architecture, or
            the score is not finite.
    """
    if name not in SCORES:
        raise unknown("zero-cost score", name, SCORES)
    _check(arch, images, labels)
    value = SCORES[name](replace(arch, dropout=0.0, drop_connect=0.0), images, labels, seed)
    if not isfinite(value):
        raise NasError(
            f"{name} of {arch.name or arch.fingerprint} is {value}; "
            "take more varied images, another seed, or another score"
        )
    return value


def first_batch(data: Data, *, batch: int, side: int, seed: int) -> Batch:
    """Return the first `batch` training images after shuffling with `seed`, and their labels.

    They are normalised, with sides of `side` pixels; there are fewer if the data have fewer.
    """
    batches = Batches(
        data.train, batch=batch, side=side, data=data, seed=seed, epoch=0, shuffle=True, ahead=1
    )
    return next(iter(batches))


def random_batch(*, batch: int, side: int, seed: int) -> Batch:
    """Return images drawn from N(0, 1), which resemble normalised ones, all of class 0."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 3, side, side, generator=generator)
    return images, torch.zeros(batch, dtype=torch.int64)


def _each_block(arch: Architecture, **changes: Any) -> Architecture:
    """Return `arch` with `changes` to every block."""

    def changed(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(replace(block, **changes) for block in blocks)

    stages = tuple(changed(stage) for stage in arch.stages)
    return replace(arch, stem=changed(arch.stem), stages=stages, head=changed(arch.head))


def _weights(model: nn.Module) -> list[Tensor]:
    return [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def _weights_and_gradients(
    arch: Architecture, images: Tensor, labels: Tensor, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    model = build_model(arch, seed=seed).to(images.device)
    weights = _weights(model)
    loss = cross_entropy(model(images), labels)
    return zip((w.detach() for w in weights), torch.autograd.grad(loss, weights), strict=True)


def _features(model: Network, images: Tensor) -> Tensor:
    """Return the feature maps before the global pooling."""
    x: Tensor = model.stages(model.stem(images))
    for unit in model.head:
        if any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in unit.children()):
            break
        x = unit(x)
    return x


def _check(arch: Architecture, images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != arch.input_channels or len(images) < 2:
        raise BadValue(
            f"a zero-cost score needs 2 images or more of {arch.input_channels} channels, "
            f"not a tensor of shape {tuple(images.shape)}"
        )
    check_resolution(replace(arch, resolution=min(images.shape[2:])))
    last = arch.named_blocks()[-1][1]
    if last.kind != "linear":
        raise BadValue(f"a classifier ends in a linear block, not in {last.kind}", "head")
    if len(labels) != len(images) or labels.min() < 0 or labels.max() >= last.out_channels:
        raise BadValue(
            f"{len(images)} images need as many labels from 0 to {last.out_channels - 1}, "
            f"not {len(labels)} from {labels.min()} to {labels.max()}"
        )
