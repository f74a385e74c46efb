"""Architectures made for a task, losses, and averages."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, TID253  # skipped above where there is no torch
from torch import nn  # noqa: E402, TID253

from nas.core.errors import BadValue  # noqa: E402
from nas.models.build import build_model  # noqa: E402
from nas.network.cost import cost  # noqa: E402
from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.ema import ModelEma  # noqa: E402
from nas.training.losses import cross_entropy, distillation  # noqa: E402
from nas.training.task import check_batch, check_resolution, for_classes, least_resolution  # noqa: E402

pytestmark = pytest.mark.torch


def test_only_the_classifier_changes_with_the_classes() -> None:
    arch = load_architecture("mobilenet_v3_small")
    small = for_classes(arch, 10)
    assert cost(arch).params - cost(small).params == 990 * 1025
    assert (small.stem, small.stages, small.head[:-1]) == (arch.stem, arch.stages, arch.head[:-1])
    assert for_classes(small, 1000) == arch


def test_what_is_no_classifier_is_refused() -> None:
    arch = load_architecture("mobilenet_v3_small")
    with pytest.raises(BadValue, match="ends in a linear block, not in pool"):
        for_classes(replace(arch, head=arch.head[:2]), 10)
    with pytest.raises(BadValue, match="2 classes or more, not 1"):
        for_classes(arch, 1)


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small", "efficientnet_b0"])
def test_a_resolution_may_not_run_out_of_pixels(name: str) -> None:
    arch = load_architecture(name)
    least = least_resolution(arch)
    assert least == 17
    check_resolution(scale_resolution(arch, least))
    with pytest.raises(BadValue, match=r"16 is too small: at .* stride of 2; use 17 or more"):
        check_resolution(scale_resolution(arch, least - 1))


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
@pytest.mark.parametrize("resolution", [32, 33])
@pytest.mark.parametrize("images", [1, 2])
def test_a_batch_is_refused_where_torch_cannot_normalise_it(
    name: str, resolution: int, images: int
) -> None:
    arch = scale_resolution(load_architecture(name), resolution)
    model = build_model(arch)
    batch = torch.rand(images, 3, resolution, resolution)
    if images == 1 and resolution == 32:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(batch)
        expected = (
            r"at stages.*maps are 1x1.* batches of 2 images or more .* resolution of 33 or mo"
        )
        with pytest.raises(BadValue, match=expected):
            check_batch(arch, images)
    else:
        assert model(batch).shape == (images, 1000)
        check_batch(arch, images)


def test_smoothed_labels_are_shares() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 1])
    shares = F.one_hot(labels, 3) * 0.9 + 0.1 / 3
    assert cross_entropy(logits, labels, smoothing=0.1) == pytest.approx(
        -(shares * logits.log_softmax(1)).sum(1).mean().item()
    )
    assert cross_entropy(logits, shares) == pytest.approx(
        cross_entropy(logits, labels, smoothing=0.1).item()
    )


def test_a_student_that_agrees_with_its_teacher_has_no_loss() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    assert distillation(logits, logits + 3, temperature=2.0) == pytest.approx(0, abs=1e-6)
    p, q = (logits / 2).softmax(1), (torch.zeros(1, 3)).softmax(1)
    by_hand = 4 * (p * (p / q).log()).sum().item()
    assert distillation(torch.zeros(1, 3), logits, temperature=2.0) == pytest.approx(by_hand)


def test_an_average_follows_weights_and_statistics() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = ModelEma(model, decay=0.5)
    start = model[0].weight.item()
    with torch.no_grad():
        model[0].weight += 1
        model[1].running_mean += 1
    average.update(1000)
    assert average.model[0].weight.item() == pytest.approx(start + 0.5)
    assert average.model[1].running_mean.item() == pytest.approx(0.5)
    average.update(0)
    assert average.model[0].weight.item() == pytest.approx(start + 0.5 + 0.9 * 0.5)


def test_no_decay_is_no_average() -> None:
    model = nn.Linear(1, 1)
    assert ModelEma(model, decay=0).model is model
