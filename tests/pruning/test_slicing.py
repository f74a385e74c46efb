"""Slicing is exact: without channels that contribute nothing, outputs stay the same."""

import numpy as np
import pytest
from zoo import VARIED

from nas.core.errors import BadValue, NasError, UnknownName
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution
from nas.network.weights import Weights, random_weights
from nas.network.zoo import load_architecture
from nas.pruning.channels import groups, narrowed
from nas.pruning.slicing import importance, sliced, strongest
from nas.pruning.tracing import Group


def silenced(weights: Weights, group: Group, channels: np.ndarray) -> dict[str, np.ndarray]:
    """Return `weights` with filters and normalisation of some channels zero."""
    result = dict(weights)
    for slot in group.slots:
        if slot.makes and not slot.weight.endswith(("running_mean", "running_var")):
            value = result[slot.weight].copy()
            value[slot.start + channels] = 0
            result[slot.weight] = value
    return result


def with_silence(arch: Architecture, weights: Weights) -> Weights:
    """Return `weights` with about 30 % of the channels of every group silent."""
    for group in groups(arch):
        rng = np.random.default_rng(group.width)
        weights = silenced(weights, group, rng.permutation(group.width)[kept(group) :])
        for follower in group.followers:
            inner = follower.group
            gone = np.arange(follower.width(kept(group)), inner.width)
            weights = silenced(weights, inner, gone)
            readers = [slot.weight for slot in inner.slots if not slot.makes]
            for name in readers:  # not all activations inside of a gate are 0 at 0
                weights[name] = weights[name].copy()
                weights[name][:, gone] = 0
    return weights


def kept(group: Group) -> int:
    return max(1, round(0.7 * group.width))


DETECTORS = ("ssdlite:mobilenet_v3_small", "yolo:mobilenet_v2", "yolov5n", "yolov5_lite_e")


@pytest.mark.torch
@pytest.mark.parametrize("name", [*VARIED, *DETECTORS])
def test_cutting_silent_channels_changes_nothing(name: str) -> None:
    torch = pytest.importorskip("torch")
    from nas.training.trained import with_weights

    def logits(arch: Architecture, weights: Weights) -> "torch.Tensor":
        model = with_weights(arch, {k: torch.from_numpy(v) for k, v in weights.items()})
        found = model(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        return torch.cat([part.flatten() for part in found])

    origin = arch = scale_resolution(load_architecture(name), 64)
    whole = small = with_silence(origin, random_weights(lower(origin)))
    for i in range(len(groups(origin))):
        group = groups(arch, origin=origin)[i]
        width = kept(group)
        small = sliced(arch, small, group, strongest(small, group, width))
        arch = narrowed(arch, group, width)
    with torch.inference_mode():
        wanted, found = logits(origin, whole), logits(arch, small)
    assert wanted.std() > 1e-3
    assert float((wanted - found).abs().max()) < 1e-5 * max(1.0, float(wanted.abs().max()))


def test_importance_sums_the_norms_of_all_filters_that_make_a_channel() -> None:
    arch = load_architecture("mobilenet_v3_small")
    weights = random_weights(lower(arch))
    (group,) = (g for g in groups(arch) if g.name == "stages.1.1.hidden")
    expand, depthwise = (weights[f"stages.1.1.{x}.weight"] for x in ("expand", "depthwise"))
    for channel in (0, 87):
        rows = (expand[channel].ravel(), depthwise[channel].ravel())
        assert importance(weights, group)[channel] == pytest.approx(sum(abs(r).sum() for r in rows))
        assert importance(weights, group, by="l2")[channel] == pytest.approx(
            sum(np.sqrt((r**2).sum()) for r in rows), rel=1e-5
        )
        assert importance(weights, group, by="bn")[channel] == pytest.approx(
            sum(
                abs(weights[f"stages.1.1.{x}.norm.weight"][channel])
                for x in ("expand", "depthwise")
            )
        )
    tied = next(g for g in groups(arch) if g.name == "stages.2.0.out")
    assert importance(weights, tied, by="bn")[0] == pytest.approx(
        sum(abs(weights[f"stages.2.{i}.project.norm.weight"][0]) for i in range(3))
    )


def test_a_group_without_norms_is_judged_by_its_filters() -> None:
    arch = load_architecture("mobilenet_v3_small")
    weights = random_weights(lower(arch))
    last = groups(arch)[-1]
    assert last.name == "head.2.out"
    np.testing.assert_array_equal(
        importance(weights, last, by="bn"), importance(weights, last, by="l1")
    )


def test_the_strongest_stay_in_their_order() -> None:
    arch = load_architecture("mobilenet_v1")
    weights = random_weights(lower(arch))
    group = groups(arch)[0]
    quiet = silenced(weights, group, np.arange(0, 32, 2))
    assert strongest(quiet, group, 16).tolist() == list(range(1, 32, 2))


def test_of_squeeze_and_excitation_the_strongest_channels_stay() -> None:
    arch = load_architecture("mobilenet_v3_small")
    weights = random_weights(lower(arch))
    group = next(g for g in groups(arch) if g.name == "stages.2.1.hidden")
    (follower,) = group.followers
    inner, width = follower.group, follower.width(120)
    quiet = np.arange(0, inner.width, 2)[: inner.width - width]  # neither the first nor the last
    loud = np.setdiff1d(np.arange(inner.width), quiet)
    small = sliced(arch, silenced(weights, inner, quiet), group, np.arange(120))
    assert 1 < width < inner.width
    for slot in inner.slots:
        wanted = np.take(weights[slot.weight], loud, axis=slot.axis)
        if slot.weight.endswith(("reduce.weight", "expand.weight")):  # axis 1 - axis of the group
            wanted = np.take(wanted, np.arange(120), axis=1 - slot.axis)
        np.testing.assert_array_equal(small[slot.weight], wanted)


def test_the_effect_on_the_loss_is_summed_over_what_makes_a_channel() -> None:
    arch = load_architecture("mobilenet_v3_small")
    weights = random_weights(lower(arch))
    group = next(g for g in groups(arch) if g.name == "stages.1.1.hidden")
    rising, even = np.arange(88.0), np.ones(88)
    effects = {
        "stages.1.1.expand.norm.weight": rising,
        "stages.1.1.depthwise.norm.weight": even,
        "stages.1.0.expand.norm.weight": -rising,  # of another group
    }
    found = importance(weights, group, by="taylor", effects=effects)
    np.testing.assert_array_equal(found, rising + 1)
    kept = strongest(weights, group, 8, by="taylor", effects=effects)
    assert kept.tolist() == list(range(80, 88))


def test_effects_on_the_loss_must_be_given_where_they_decide() -> None:
    arch = load_architecture("mobilenet_v1")
    with pytest.raises(BadValue, match="needs effects"):
        importance(random_weights(lower(arch)), groups(arch)[0], by="taylor")


@pytest.mark.parametrize("keep", [[], [3, 1], [1, 1], [-1, 2], [30, 32]])
def test_channels_to_keep_must_be_of_the_group(keep: list[int]) -> None:
    arch = load_architecture("mobilenet_v1")
    with pytest.raises(BadValue, match=r"stem\.0\.out"):
        sliced(arch, random_weights(lower(arch)), groups(arch)[0], keep)


def test_weights_of_another_network_are_refused() -> None:
    arch = load_architecture("mobilenet_v1")
    other = random_weights(lower(load_architecture("mobilenet_v1@0.5")))
    with pytest.raises(NasError, match="shape"):
        sliced(arch, other, groups(arch)[0], [0, 1])


def test_an_unknown_importance_names_the_known_ones() -> None:
    arch = load_architecture("mobilenet_v1")
    with pytest.raises(UnknownName, match="l1, l2"):
        importance(random_weights(lower(arch)), groups(arch)[0], by="magnitude")
