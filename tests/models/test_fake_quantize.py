"""Values and weights are rounded as in the int8 graph, and gradients pass."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nas.exporting.int8.ranges import QuantizationGrid  # noqa: E402
from nas.models.fake_quantize import rounded, rounded_bias, rounded_weight  # noqa: E402

pytestmark = pytest.mark.torch

GRID = QuantizationGrid.of(-1.0, 3.0)
ENDS = torch.tensor([-1.0, 3.0])


def test_values_are_those_of_the_grid() -> None:
    values = np.linspace(-2, 4, 1001)
    found = rounded(torch.tensor(values), ENDS, GRID).numpy()
    np.testing.assert_allclose(found, GRID.rounded(values), atol=1e-6)
    assert len(np.unique(found)) == 256


def test_gradients_pass_inside_the_range_and_move_its_ends_outside() -> None:
    values = torch.tensor([-5.0, -0.5, 0.0, 2.9, 7.0], requires_grad=True)
    ends = ENDS.clone().requires_grad_()
    result = rounded(values, ends, GRID)
    (result * torch.tensor([1.0, 1, 1, 1, 10])).sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 1, 0]
    low, high = ends.grad.tolist()
    assert low > 0  # one value lies below, ten counts above
    assert high == pytest.approx(10 * low, rel=0.01)


def test_an_end_moves_so_that_what_is_inside_is_rounded_better() -> None:
    values = torch.rand(4000, generator=torch.Generator().manual_seed(0)) * 0.7

    def loss_and_gradient(high: float) -> tuple[float, float]:
        ends = torch.tensor([0.0, high], requires_grad=True)
        loss = ((rounded(values, ends, QuantizationGrid.of(0.0, high)) - values) ** 2).mean()
        loss.backward()
        return loss.item(), ends.grad[1].item()

    assert loss_and_gradient(4.0)[0] > loss_and_gradient(0.8)[0]
    assert loss_and_gradient(4.0)[1] > 0  # a smaller range has a smaller loss
    assert loss_and_gradient(0.4)[1] < 0  # a larger one has


def test_weights_have_a_scale_for_each_output_channel() -> None:
    weight = torch.tensor([[1.27, -0.014], [0.0, 0.0], [-254.0, 3.1]], requires_grad=True)
    found, scales = rounded_weight(weight)
    assert scales[[0, 2]].tolist() == pytest.approx([0.01, 2.0])
    assert found.flatten().tolist() == pytest.approx([1.27, -0.01, 0, 0, -254, 4])
    found.sum().backward()
    assert weight.grad.unique().tolist() == [1]


def test_biases_are_whole_numbers_of_their_scale() -> None:
    bias = torch.tensor([0.26, -0.26], requires_grad=True)
    found = rounded_bias(bias, torch.tensor([0.1, 0.5]))
    assert found.tolist() == pytest.approx([0.3, -0.5])
    found.sum().backward()
    assert bias.grad.tolist() == [1, 1]
