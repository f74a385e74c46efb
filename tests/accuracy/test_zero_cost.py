"""Zero-cost scores: known answers on networks small enough to compute by hand, and refusals."""

from dataclasses import replace
from math import exp, isfinite, log
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from nas.accuracy.zero_cost import (  # noqa: E402
    LABELLED,
    SCORES,
    ZEN_STEP,
    first_batch,
    random_batch,
    zero_cost_score,
)
from nas.core.errors import NasError  # noqa: E402
from nas.models.build import build_model  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402  # skipped above where there is no torch
from nas.network.cost import cost  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.data import load_data  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SIDE = 8
COUNTS = ("params", "macs")
NETWORK_SCORES = [name for name in SCORES if name not in COUNTS]
Array = NDArray[np.float64]


def classifier(*stem: Block, classes: int = 2, **changes: Any) -> Architecture:
    """Return `stem` with a pooling and a linear layer behind it."""
    width = stem[-1].out_channels if stem else 3
    head = (
        Block(kind="pool", in_channels=width, out_channels=width),
        Block(kind="linear", in_channels=width, out_channels=classes, act="none"),
    )
    return Architecture(resolution=SIDE, stem=stem, stages=(), head=head, **changes)


def conv(channels: int, *, act: str = "relu", kernel: int = 1, before: int = 3) -> Block:
    return Block(kind="conv", in_channels=before, out_channels=channels, kernel=kernel, act=act)


def mbconv(**changes: Any) -> Block:
    fields = {"in_channels": 4, "out_channels": 4, "hidden_channels": 8, "kernel": 3}
    return Block(**{"kind": "mbconv", **fields, **changes})


SMALL = classifier(conv(4), mbconv(se_channels=2), mbconv(act="hswish"), conv(6, before=4))
SHAKY = replace(SMALL, dropout=0.5, drop_connect=0.5)


def images(count: int = 4, seed: int = 1) -> Any:
    return random_batch(batch=count, side=SIDE, seed=seed)[0]


def labels(count: int = 4) -> Any:
    return torch.arange(count) % 2


def score(name: str, arch: Architecture, *, count: int = 4, seed: int = 0) -> float:
    return zero_cost_score(name, arch, images(count), labels(count), seed=seed)


def weights_of(arch: Architecture, seed: int = 0) -> list[Array]:
    """Return the weights of the convolutions and linear layers, without the 1x1 of a kernel."""
    state = build_model(arch, seed=seed).double().state_dict()
    found = [v.numpy() for k, v in state.items() if k.endswith(".weight") and "norm" not in k]
    return [array.reshape(array.shape[:2]) for array in found]


def test_synflow_of_two_layers_is_the_product_of_their_absolute_weights() -> None:
    arch = classifier(conv(5))
    first, last = (np.abs(array) for array in weights_of(arch))
    flow = (last @ first @ np.ones(3)).sum()
    assert score("synflow", arch) == pytest.approx(log(2 * flow), rel=1e-12)  # R once for a layer


def test_synflow_counts_both_ways_through_a_shortcut() -> None:
    block = mbconv(hidden_channels=4, kernel=1)
    arch = classifier(conv(4), block)
    stem, depthwise, project, last = (np.abs(array) for array in weights_of(arch))
    x = stem @ np.ones(3)
    around, through = (last @ x).sum(), (last @ project @ (depthwise[:, 0] * x)).sum()
    # stem and classifier get the whole flow, the two layers of the branch their part
    assert score("synflow", arch) == pytest.approx(log(2 * around + 4 * through), rel=1e-12)


@pytest.mark.parametrize("act", ["relu6", "swish", "hswish"])
def test_no_activation_stops_the_flow(act: str) -> None:
    """The plain relu passes all of such inputs; the other activations count as one."""
    wide, same = (classifier(conv(40, act=a), conv(9, act=a, before=40)) for a in ("relu", act))
    assert exp(score("synflow", wide)) > 100
    assert score("synflow", same) == score("synflow", wide)


def test_the_flow_of_a_deep_network_does_not_overflow() -> None:
    found = zero_cost_score("synflow", load_architecture("efficientnet_b4"),
                            *random_batch(batch=2, side=32, seed=0), seed=0)  # fmt: skip
    assert 89 < found < 709  # beyond single precision, within double


def codes(arch: Architecture, count: int) -> Array:
    """Return which outputs of the stem's normalisation are positive, image by image."""
    x = images(count).double().numpy()
    maps = np.einsum("oc,nchw->nohw", weights_of(arch)[0], x)
    centred = maps - maps.mean(axis=(0, 2, 3), keepdims=True)
    return (centred > 0).reshape(count, -1)


@pytest.mark.parametrize("act", ["relu", "relu6", "swish", "hswish"])
def test_naswot_is_the_determinant_of_the_agreement_of_codes(act: str) -> None:
    arch = classifier(conv(5, act=act))
    one, other = codes(arch, 2)
    units, differ = one.size, int((one != other).sum())
    assert (units, 0 < differ < units) == (5 * SIDE * SIDE, True)
    expected = log(units**2 - (units - differ) ** 2)
    assert score("naswot", arch, count=2) == pytest.approx(expected, rel=1e-12)


def test_naswot_counts_the_activation_inside_of_a_squeeze_but_no_gate() -> None:
    """No activation follows the output of the squeeze here, so only its own can count."""

    def squeezed(**changes: Any) -> float:
        return score("naswot", classifier(conv(4), mbconv(se_channels=2, **changes)))

    plain = score("naswot", classifier(conv(4), mbconv()))
    assert squeezed(se_act="none", gate="sigmoid") == plain
    assert squeezed(se_act="none", gate="hsigmoid") == plain
    assert squeezed(se_act="swish") > plain
    assert squeezed(se_act="swish") == squeezed(se_act="relu", gate="hsigmoid")


def test_naswot_of_images_that_are_alike_is_refused() -> None:
    same = images(1).repeat(3, 1, 1, 1)
    with pytest.raises(NasError, match=r"^naswot of .* is -inf; take more varied images"):
        zero_cost_score("naswot", SMALL, same, labels(3), seed=0)


def test_naswot_grows_with_the_width() -> None:
    found = [score("naswot", classifier(conv(width))) for width in (2, 8, 32, 128)]
    assert found == sorted(found)
    assert found[-1] - found[0] > 4 * log(16)  # each of four eigenvalues grows with the units


def linear_gradient(arch: Architecture) -> tuple[Array, Array]:
    """Return weights and gradient of a linear layer on the means of the channels."""
    x = images().double().numpy().mean(axis=(2, 3))
    (weights,) = weights_of(arch)
    raised = np.exp(x @ weights.T)
    wrong = raised / raised.sum(axis=1, keepdims=True) - np.eye(2)[labels().numpy()]
    return weights, wrong.T @ x / len(x)


def test_the_gradient_of_a_linear_classifier_is_known() -> None:
    arch = classifier()
    weights, gradient = linear_gradient(arch)
    assert score("grad_norm", arch) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    assert score("snip", arch) == pytest.approx(np.abs(weights * gradient).sum(), rel=1e-5)


def test_grad_norm_adds_the_norms_of_layers() -> None:
    arch = classifier(conv(5, kernel=3))
    model = build_model(arch)
    loss = torch.nn.functional.cross_entropy(model(images()), labels())
    loss.backward()
    norms = [float(m.weight.grad.norm()) for m in (model.stem[0].conv, model.head[1].linear)]
    assert all(norm > 0 for norm in norms)
    assert score("grad_norm", arch) == pytest.approx(sum(norms), rel=1e-5)


def test_zen_of_one_linear_convolution_is_its_gain() -> None:
    """A change of 0.01 a pixel changes normalised maps by as much; the variance is that of
    weights."""
    arch = classifier(conv(6, act="none"))
    weights = torch.empty(6, 3, 1, 1)
    torch.nn.init.normal_(weights, generator=torch.Generator().manual_seed(0))
    gain = float(weights.square().sum(dim=(1, 2, 3)).mean().sqrt())
    expected = log(ZEN_STEP * (6 * SIDE * SIDE) ** 0.5) + log(gain)
    assert score("zen", arch, count=64) == pytest.approx(expected, abs=0.05)


def test_zen_leaves_shortcuts_and_squeezes_out() -> None:
    plain = classifier(conv(4), mbconv(skip="none"), mbconv(skip="none"))
    rich = classifier(conv(4), mbconv(se_channels=2), mbconv(skip="pool", se_channels=4))
    assert score("zen", rich) == score("zen", plain)


def test_zen_grows_with_the_depth() -> None:
    found = [score("zen", classifier(conv(4), *[mbconv()] * depth)) for depth in range(4)]
    assert found == sorted(found)
    assert len(set(found)) == 4


def test_zen_ends_before_the_pooling() -> None:
    last = replace(SMALL, head=(*SMALL.head[:-1], replace(SMALL.head[-1], out_channels=7)))
    assert score("zen", last) == score("zen", SMALL)


def test_counts_are_those_of_the_cost() -> None:
    b0 = load_architecture("efficientnet_b0")
    batch = random_batch(batch=2, side=32, seed=0)
    assert zero_cost_score("params", b0, *batch, seed=0) == cost(b0).params == 5_288_548
    assert zero_cost_score("macs", b0, *batch, seed=0) == cost(b0).macs


@pytest.mark.parametrize("name", SCORES)
def test_a_score_depends_on_the_seed_alone(name: str) -> None:
    before, given = torch.get_rng_state(), images()
    first = score(name, SHAKY)
    torch.rand(7)
    assert score(name, SHAKY) == first == score(name, SMALL)  # dropout is left out
    assert isfinite(first)
    assert (score(name, SMALL, seed=1) == first) == (name in COUNTS)
    torch.set_rng_state(before)
    score(name, SHAKY)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images(), given)


@pytest.mark.parametrize("name", SCORES)
def test_only_labelled_scores_look_at_labels(name: str) -> None:
    one, other = (
        zero_cost_score(name, SMALL, images(), each, seed=0) for each in (labels(), 1 - labels())
    )
    assert (one != other) == (name in LABELLED)


@pytest.mark.parametrize("name", NETWORK_SCORES)
def test_a_network_takes_images_of_another_resolution(name: str) -> None:
    batch = random_batch(batch=2, side=16, seed=0)
    assert isfinite(zero_cost_score(name, SMALL, *batch, seed=0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "synflaw"}, r"unknown zero-cost score 'synflaw'; did you mean synflow"),
        ({"images": torch.zeros(1, 3, 8, 8), "labels": torch.zeros(1).long()},
         r"needs 2 images or more of 3 channels, not a tensor of shape \(1, 3, 8, 8\)"),
        ({"images": torch.zeros(4, 1, 8, 8)}, r"of 3 channels, not a tensor of shape \(4, 1, "),
        ({"labels": torch.tensor([0, 1, 2, 0])}, r"4 images need as many labels from 0 to 1, not"),
        ({"labels": torch.tensor([0, -1, 0, 0])}, r"not 4 from -1 to 0"),
        ({"labels": torch.zeros(3).long()}, r"not 3 from 0 to 0"),
        ({"arch": replace(SMALL, head=SMALL.head[:1])}, r"ends in a linear block, not in pool"),
        ({"arch": load_architecture("mobilenet_v2"), "images": torch.randn(4, 3, 8, 8)},
         r"a resolution of 8 is too small"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    given = {"name": "naswot", "arch": SMALL, "images": images(), "labels": labels(), **changes}
    with pytest.raises(NasError, match=message):
        zero_cost_score(*given.values(), seed=0)


def test_images_without_numbers_are_refused() -> None:
    with pytest.raises(NasError, match=r"^snip of .* is nan"):
        zero_cost_score("snip", SMALL, images() * float("nan"), labels(), seed=0)


def test_the_first_batch_is_shuffled_by_the_seed() -> None:
    pytest.importorskip("sklearn")
    data = load_data("digits")
    order = np.random.default_rng([3, 0]).permutation(len(data.train))[:5]
    batch, found = first_batch(data, batch=5, side=16, seed=3)
    assert batch.shape == (5, 3, 16, 16)
    assert found.tolist() == data.train.labels[order].tolist()
