"""Weights for relatives of a trained network: growing preserves its outputs."""

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.network.blocks import Architecture, Block
from nas.network.inherit import Inherited, inherit
from nas.network.lowering import lower
from nas.network.weights import Weights, random_weights
from nas.network.zoo import load_architecture

HIDDEN, WIDTH, KERNEL, SE = 24, 8, 3, 4


def net(  # noqa: PLR0913  # what may grow
    *, hidden: int = HIDDEN, width: int = WIDTH, kernel: int = KERNEL, se: int = SE,
    layers: int = 2, classes: int = 5, features: int = 32,
) -> Architecture:  # fmt: skip
    """Return a small network with a residual block and squeeze-and-excitation."""

    def block(inputs: int, stride: int) -> Block:
        return Block(
            kind="mbconv", in_channels=inputs, out_channels=width, hidden_channels=hidden,
            kernel=kernel, stride=stride, se_channels=se, act="hswish", gate="hsigmoid",
        )  # fmt: skip

    return Architecture(
        resolution=16,
        stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2),),
        stages=((block(8, 2), *(block(width, 1) for _ in range(layers - 1))),),
        head=(
            Block(kind="conv", in_channels=width, out_channels=features),
            Block(kind="pool", in_channels=features, out_channels=features),
            Block(kind="linear", in_channels=features, out_channels=classes, act="none"),
        ),
    )


def taken(arch: Architecture, trained: Architecture | None = None) -> tuple[Weights, Inherited]:
    trained = trained or net()
    weights = random_weights(lower(trained), seed=1)
    fresh = random_weights(lower(arch), seed=2)
    return weights, inherit(trained, weights, arch, fresh=fresh)


def test_a_network_inherits_all_of_its_own_weights() -> None:
    arch = load_architecture("mobilenet_v3_small@0.35-32")
    weights, found = taken(arch, arch)
    assert found.share == 1.0
    assert all(np.array_equal(found.weights[name], value) for name, value in weights.items())


@pytest.mark.torch
@pytest.mark.parametrize(
    "larger",
    [net(hidden=40), net(kernel=7), net(layers=4), net(width=20), net(features=80), net(se=6),
     net(hidden=56, kernel=5, layers=3, width=12, features=33, se=9)],
)  # fmt: skip
def test_a_larger_network_computes_the_same(larger: Architecture) -> None:
    weights, found = taken(larger)
    assert np.allclose(logits(larger, found.weights), logits(net(), weights), atol=1e-4)


def logits(arch: Architecture, weights: Weights) -> np.ndarray:
    torch = pytest.importorskip("torch")
    from nas.training.trained import with_weights

    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = with_weights(arch, {k: torch.tensor(v) for k, v in weights.items()}).eval()
    with torch.no_grad():
        result: np.ndarray = model(images).numpy()
    return result


@pytest.mark.torch
def test_a_smaller_network_loses_only_what_does_nothing() -> None:
    trained, smaller = net(), net(hidden=16, features=20)
    weights = dict(random_weights(lower(trained), seed=1))
    for place in ("stages.0.0", "stages.0.1"):
        for part in ("expand.weight", "expand.norm.weight", "expand.norm.bias"):
            _silence(weights, f"{place}.{part}", HIDDEN - 16)
        for part in ("depthwise.norm.weight", "depthwise.norm.bias"):
            _silence(weights, f"{place}.{part}", HIDDEN - 16)
    for part in ("weight", "norm.weight", "norm.bias"):
        _silence(weights, f"head.0.conv.{part}", 12)
    found = inherit(trained, weights, smaller, fresh=random_weights(lower(smaller)))
    assert found.share == 1.0
    assert np.allclose(logits(smaller, found.weights), logits(trained, weights), atol=1e-4)


def _silence(weights: dict[str, np.ndarray], name: str, count: int) -> None:
    weights[name] = weights[name].copy()
    weights[name][3 : 3 + count] = 0


def test_kernels_are_taken_by_their_centre() -> None:
    weights, found = taken(net(kernel=3), net(kernel=7))
    name = "stages.0.0.depthwise.weight"
    assert np.array_equal(found.weights[name], weights[name][:, :, 2:5, 2:5])


def test_a_classifier_of_other_classes_is_fresh() -> None:
    arch = net(classes=7)
    _, found = taken(arch)
    fresh = random_weights(lower(arch), seed=2)
    assert np.array_equal(found.weights["head.2.linear.weight"], fresh["head.2.linear.weight"])
    assert 0.5 < found.share < 1


@pytest.mark.parametrize(
    ("name", "least"),
    [("mobilenet_v3_large@1-64", 0.4), ("efficientnet_b0@1-64", 0.4), ("mobilenet_v1@1-64", 0.0)],
)
def test_another_family_takes_what_fits(name: str, least: float) -> None:
    _, found = taken(load_architecture(name), load_architecture("mobilenet_v3_small@1-64"))
    assert found.share >= least
    assert all(np.isfinite(value).all() for value in found.weights.values())


@pytest.mark.parametrize("resolution", [40, 48, 224])
def test_blocks_match_at_every_resolution(resolution: int) -> None:
    base = load_architecture("mobilenet_v3_large@1-224")
    _, found = taken(load_architecture(f"efficientnet_b0@1-{resolution}"), base)
    _, usual = taken(load_architecture("efficientnet_b0@1-160"), base)
    assert found.share == usual.share


def test_weights_of_another_network_are_refused() -> None:
    fresh = random_weights(lower(net()))
    with pytest.raises(NasError, match="weights for"):
        inherit(net(hidden=40), fresh, net(), fresh=fresh)
    with pytest.raises(NasError, match="weights for"):
        inherit(net(), fresh, net(hidden=40), fresh=fresh)
