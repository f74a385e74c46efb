"""Convolutions on small maps: the same outputs and gradients as torch's."""

from itertools import product

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, TID253  # the customary name; skipped above

from nas.models.small_maps import conv2d  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SHAPES = [*product((1, 2, 3, 4, 5, 8), (1, 3, 5, 7), (1, 2))]


def results(function, x, weight, **options):  # type: ignore[no-untyped-def]  # of tensors
    """Return the output and the gradients of a sum of its squares."""
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    output = function(x, weight, None, **options)
    torch.autograd.backward(output.square().sum())
    return output.detach(), x.grad, weight.grad


@pytest.mark.parametrize(("side", "kernel", "stride"), SHAPES)
def test_outputs_and_gradients_are_those_of_torch(side: int, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(6, 1, kernel, kernel)
    options = {"stride": stride, "padding": kernel // 2, "groups": 6}
    for own, known in zip(
        results(conv2d, x, weight, **options), results(F.conv2d, x, weight, **options), strict=True
    ):
        torch.testing.assert_close(own, known, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "kernel", "padding"), [(1, 1, 0), (3, 3, 0), (1, 1, 1), (3, 3, 1)]
)
def test_pointwise_outputs_and_gradients_are_those_of_torch(
    side: int, kernel: int, padding: int
) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, side, side).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(8, 6, kernel, kernel), torch.randn(8)
    options = {"stride": 1, "padding": padding, "groups": 1}
    own, known = (results(of, x, weight, **options) for of in (conv2d, F.conv2d))
    for one, other in zip(own, known, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    trained = weight.requires_grad_()
    torch.testing.assert_close(
        conv2d(x, trained, bias, **options), F.conv2d(x, trained, bias, **options)
    )


def test_maps_that_are_not_square() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 9, 4), torch.randn(3, 1, 5, 5)
    for stride, padding in ((1, 2), (2, 2), (1, 1), (9, 1), (9, 3)):
        options = {"stride": stride, "padding": padding, "groups": 3}
        for own, known in zip(
            results(conv2d, x, weight, **options),
            results(F.conv2d, x, weight, **options),
            strict=True,
        ):
            torch.testing.assert_close(own, known, rtol=1e-4, atol=1e-4)


def test_a_kernel_larger_than_the_map_is_refused_as_by_torch() -> None:
    x, weight = torch.randn(2, 3, 5, 2), torch.randn(3, 1, 5, 5, requires_grad=True)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        conv2d(x, weight, None, 1, 0, 3)


@pytest.mark.parametrize("side", [1, 4])
def test_weights_alone_and_inputs_alone(side: int) -> None:
    x, weight = torch.randn(2, 3, side, side), torch.randn(3, 1, 5, 5)
    options = {"stride": 1, "padding": 2, "groups": 3}
    trained = weight.clone().requires_grad_()
    torch.autograd.backward(conv2d(x, trained, None, **options).sum())
    assert trained.grad is not None
    given = x.clone().requires_grad_()
    torch.autograd.backward(conv2d(given, weight, None, **options).sum())
    assert given.grad is not None
    with torch.no_grad():
        assert not conv2d(x, trained, None, **options).requires_grad


@pytest.mark.parametrize("side", [1, 4])
def test_torch_can_differentiate_functions_of_it(side: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, side, side), torch.randn(3, 1, 5, 5)
    options = {"stride": 1, "padding": 2, "groups": 3}
    found, known = (
        torch.func.grad(lambda w, of=of: of(x, w, None, **options).square().sum())(weight)
        for of in (conv2d, F.conv2d)
    )
    torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-4)
    trained = weight.requires_grad_()
    assert conv2d(x[:0], trained, None, **options).shape == (0, 3, side, side)


@pytest.mark.parametrize("side", [1, 4])
def test_gradients_of_gradients(side: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, side, side), torch.randn(3, 1, 5, 5)

    def of(function):  # type: ignore[no-untyped-def]  # the same
        given, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
        output = function(given, w, None, stride=1, padding=2, groups=3)
        (first,) = torch.autograd.grad(output.pow(3).sum(), w, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (given, w))

    for own, known in zip(of(conv2d), of(F.conv2d), strict=True):
        torch.testing.assert_close(own, known, rtol=1e-3, atol=1e-2)
