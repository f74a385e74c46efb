"""The effect of a channel on the loss is the derivative with respect to a factor on it."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.pruning.channels import groups  # noqa: E402
from nas.pruning.slicing import importance  # noqa: E402
from nas.pruning.taylor import effects  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.evaluate import score  # noqa: E402
from nas.training.fine_tune import FineTuningSetup, held_out  # noqa: E402
from nas.training.recipes import adapt, quick  # noqa: E402
from nas.training.steps import trainable  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

ARCH = Architecture(
    resolution=16,
    stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2, act="hswish"),),
    stages=((Block(kind="mbconv", in_channels=8, out_channels=8, hidden_channels=24, kernel=3,
                   se_channels=8, act="hswish", gate="hsigmoid"),),),
    head=(Block(kind="pool", in_channels=8, out_channels=8),
          Block(kind="linear", in_channels=8, out_channels=12, act="hswish"),
          Block(kind="linear", in_channels=12, out_channels=10, act="none")),
)  # fmt: skip


@pytest.fixture(scope="module")
def setup() -> FineTuningSetup:
    data = held_out(load_data("digits"), 0.2, seed=0)
    few = replace(data, train=data.val)
    one_batch = adapt(quick(), batch=len(few.train))
    return FineTuningSetup(data=few, recipe=one_batch, epochs=0, device="cpu")


def loss(data: Data, weights: dict[str, np.ndarray]) -> float:
    return score(trainable(ARCH, weights), data.train, data, side=ARCH.resolution).loss


@pytest.mark.parametrize(
    "weight",
    ["stem.0.conv.norm.weight", "stages.0.0.depthwise.norm.weight",
     "stages.0.0.squeeze.reduce.weight", "head.1.linear.weight"],
)  # fmt: skip
def test_an_effect_is_the_derivative_by_a_factor_on_the_channel(
    setup: FineTuningSetup, weight: str
) -> None:
    weights = random_weights(lower(ARCH), seed=1)
    found = effects(setup, ARCH, weights, number=1)[weight]
    channel = found.argmax()
    bias, losses, small = weight.removesuffix("weight") + "bias", [], 0.02
    for factor in (1 - small, 1 + small):
        changed = {name: weights[name].copy() for name in (weight, bias)}
        for value in changed.values():
            value[channel] *= factor
        losses.append(loss(setup.data, {**weights, **changed}))
    assert found[channel] == pytest.approx(abs(losses[1] - losses[0]) / (2 * small), rel=0.02)


def test_every_group_has_an_effect_for_each_of_its_channels(setup: FineTuningSetup) -> None:
    weights = random_weights(lower(ARCH), seed=1)
    found = effects(setup, ARCH, weights, number=1)
    for group in groups(ARCH, own_squeeze=True):
        values = importance(weights, group, by="taylor", effects=found)
        assert values.shape == (group.width,)
        assert (values >= 0).all()
        assert values.max() > 0
