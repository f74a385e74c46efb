"""The linear probe."""

import pytest

torch = pytest.importorskip("torch")

from nas.space.space import Space  # noqa: E402
from nas.supernet.probe import _fit, probe  # noqa: E402
from nas.supernet.sampling import smallest  # noqa: E402
from nas.training.trained import random_model  # noqa: E402

pytestmark = pytest.mark.torch


def test_the_fit_is_that_of_least_squares_with_little_penalty() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    labels = (features[:, 0] > 0).long()
    mean, deviation, weights, usual = _fit(features, labels, 1e-12)
    inputs = torch.cat([(features - mean) / deviation, torch.ones(40, 1)], 1)
    wanted = torch.linalg.lstsq(inputs, torch.nn.functional.one_hot(labels).double()).solution
    assert torch.allclose(torch.cat([weights, usual[None]]), wanted, atol=1e-6)


def test_classes_that_pixels_distinguish_are_distinguished(tiny: Space) -> None:
    network = random_model(tiny.decode_row(smallest(tiny)), seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = 0.2 * torch.randn(60, 3, 32, 32, generator=generator)
    images[torch.arange(60), labels] += 2
    assert probe(network, [(images[:40], labels[:40])], [(images[40:], labels[40:])]) == 1
    mixed = labels[torch.randperm(60, generator=generator)]
    assert probe(network, [(images[:40], mixed[:40])], [(images[40:], mixed[40:])]) < 0.8
