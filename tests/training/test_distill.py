"""A teacher sees images normalised as in its own training, whatever its student's are."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from nas.models.build import build_model, weights_of  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.checkpoint import Checkpoint, DataMetadata  # noqa: E402
from nas.training.data import Data, Images  # noqa: E402
from nas.training.distill import Teacher  # noqa: E402

pytestmark = pytest.mark.torch

ARCH = Architecture(
    resolution=8,
    stem=(Block(kind="conv", in_channels=3, out_channels=4, kernel=3, stride=2),),
    stages=((Block(kind="conv", in_channels=4, out_channels=8, kernel=3),),),
    head=(
        Block(kind="pool", in_channels=8, out_channels=8),
        Block(kind="linear", in_channels=8, out_channels=2, act="none"),
    ),
    name="teacher",
)
MEAN, DEVIATION = (0.1, 0.5, 0.9), (0.5, 0.1, 0.3)
OWN_MEAN, OWN_DEVIATION = (0.4, 0.2, 0.3), (0.2, 0.25, 0.4)


def _normalised(images: "torch.Tensor", mean: tuple, deviation: tuple) -> "torch.Tensor":
    return (images - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def test_a_teacher_gets_its_own_normalisation() -> None:
    network = build_model(ARCH, seed=3).eval()
    found = Checkpoint(
        path=Path("teacher.safetensors"),
        arch=ARCH,
        weights=weights_of(network),
        data=DataMetadata(
            name="others",
            fingerprint="1" * 16,
            classes=("a", "b"),
            mean=OWN_MEAN,
            deviation=OWN_DEVIATION,
        ),
        top1=None,
    )
    nothing = Images(labels=torch.zeros(0, dtype=torch.int64).numpy(), read=lambda i, s: None)
    data = Data(
        name="ours", classes=("a", "b"), train=nothing, val=nothing, test=None,
        mean=MEAN, deviation=DEVIATION, fingerprint="0" * 16, notes=(),
    )  # fmt: skip
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(_normalised(images, OWN_MEAN, OWN_DEVIATION))
    taught = Teacher(found, data)(_normalised(images, MEAN, DEVIATION))
    assert expected.std() > 0.01
    assert torch.allclose(taught, expected, atol=1e-4)
