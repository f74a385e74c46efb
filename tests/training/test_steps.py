"""One step of a training follows its recipe."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402, TID253  # skipped above where there is no torch

from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.training.data import Data, Images  # noqa: E402
from nas.training.job import Options, TrainingJob  # noqa: E402
from nas.training.recipes import Recipe, quick  # noqa: E402
from nas.training.steps import Stepper  # noqa: E402

pytestmark = pytest.mark.torch

ARCH = Architecture(
    resolution=8,
    stem=(Block(kind="conv", in_channels=3, out_channels=4, kernel=3, stride=2),),
    stages=((Block(kind="conv", in_channels=4, out_channels=8, kernel=3),),),
    head=(
        Block(kind="pool", in_channels=8, out_channels=8),
        Block(kind="linear", in_channels=8, out_channels=2, act="none"),
    ),
)


def _stepper(recipe: Recipe) -> Stepper:
    nothing = Images(labels=torch.zeros(0, dtype=torch.int64).numpy(), read=lambda i, s: None)
    data = Data(
        name="none", classes=("a", "b"), train=nothing, val=nothing, test=None,
        mean=(0, 0, 0), deviation=(1, 1, 1), fingerprint="0" * 16, notes=(),
    )  # fmt: skip
    job = TrainingJob(arch=ARCH, data=data, recipe=recipe, seed=0, options=Options(device="cpu"))
    return Stepper(job, device=torch.device("cpu"))


def _gradient(clip: float) -> Tensor:
    """Return the gradient that the optimizer is given, in one row."""
    stepper = _stepper(replace(quick(), clip=clip))
    seen: list[Tensor] = []

    def look(*_: object) -> None:
        seen.append(torch.cat([p.grad.flatten() for p in stepper.model.parameters()]))

    stepper.optimizer.register_step_pre_hook(look)
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    stepper.step([(images, torch.arange(6) % 2)], step=0, steps_an_epoch=1)
    (found,) = seen
    return found


def test_the_gradient_is_clipped_to_the_norm_of_the_recipe() -> None:
    whole = _gradient(0.0)
    norm = whole.norm().item()
    for clip in (norm / 2, norm / 1000):
        assert torch.allclose(_gradient(clip), whole * (clip / norm), rtol=1e-3, atol=1e-9)
    assert torch.equal(_gradient(norm * 2), whole)


def test_accumulated_batches_have_the_gradient_of_a_large_one() -> None:
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 2
    moved = []
    for parts in (1, 2):
        stepper = _stepper(quick())
        stepper.model.eval()  # each batch has its own statistics
        group = list(zip(images.chunk(parts), labels.chunk(parts), strict=True))
        loss = stepper.step(group, step=0, steps_an_epoch=10)
        moved.append((loss.item(), stepper.model.state_dict()["head.1.linear.bias"]))
    assert moved[0][0] == pytest.approx(moved[1][0], rel=1e-5)
    torch.testing.assert_close(moved[0][1], moved[1][1], rtol=1e-3, atol=1e-6)
