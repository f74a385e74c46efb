"""Models of timm and torchvision, where these are installed, compute the same here."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.foreign import known_weights  # noqa: E402
from nas.training.pretrained import load_weights  # noqa: E402
from nas.training.trained import network_of  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", known_weights())
def test_real_timm_computes_the_same(name: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    model_name = known_weights()[name][0].source.partition(":")[2].partition(".")[0]
    check_real(name, "timm", timm.create_model(model_name), tmp_path / f"{model_name}.pth")


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mobilenet_v2", "mobilenet_v2"),
        ("mobilenet_v3_large", "mobilenet_v3_large"),
        ("mobilenet_v3_small", "mobilenet_v3_small"),
        ("mnasnet_b1", "mnasnet1_0"),
        ("efficientnet_b0", "efficientnet_b0"),
        ("efficientnet_b5", "efficientnet_b5"),
    ],
)
def test_real_torchvision_computes_the_same(name: str, theirs: str, tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    check_real(name, "torchvision", getattr(models, theirs)(), tmp_path / "m.pth")


def check_real(name: str, library: str, model: Any, path: Path) -> None:
    """Compare a model of a library with ours, both with its weights and other statistics."""
    torch.manual_seed(0)
    for module in model.eval().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean)
    torch.save(model.state_dict(), path)
    arch = scale_resolution(load_architecture(name), 97)
    found = load_weights(arch, f"{library}:{path}")
    with torch.no_grad():
        images = torch.randn(2, 3, arch.resolution, arch.resolution)
        expected = model(images)
        error = (network_of(found)(images) - expected).abs().max()
    assert error <= 1e-5 * expected.abs().max()
