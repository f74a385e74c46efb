"""A detector starts from the weights of the network that it was made from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.models.build import build_model, weights_of  # noqa: E402
from nas.network.backbone import backbone_of, from_detector, into_detector  # noqa: E402
from nas.network.checkpoint import Checkpoint, DataMetadata  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.inherited import inherit_weights  # noqa: E402
from nas.training.trained import with_weights  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

NAMES = ("ssdlite:mobilenet_v3_small@96", "yolo:mobilenet_v2@64", "ssdlite:mnasnet_a1@96")


def classifier(name: str) -> Checkpoint:
    """Return the backbone of a detector with random weights, as a trained network."""
    arch = load_architecture(name.partition(":")[2].partition("@")[0])
    facts = DataMetadata(
        name="x", fingerprint="", classes=tuple(map(str, range(1000))),
        mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5),
    )  # fmt: skip
    return Checkpoint(
        path=Path("x"), arch=arch, weights=random_weights(lower(arch)), data=facts, top1=0.7
    )


@pytest.mark.parametrize("name", NAMES)
def test_its_backbone_is_the_network_that_it_was_made_of(name: str) -> None:
    arch, whole = load_architecture(name), classifier(name).arch
    base = backbone_of(arch)
    assert (base.stem, base.stages) == (whole.stem, whole.stages)
    assert base.head == (whole.head[:1] if name.startswith("ssd") else ())


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_the_maps_of_the_trained_network(name: str) -> None:
    relative, data = classifier(name), load_data("digits_scenes:images=20")
    begun = inherit_weights(relative, load_architecture(name), data, seed=0)
    assert begun.arch.detector
    assert begun.arch.detector.classes == len(data.classes)
    assert 0.1 < begun.share < 1
    side = begun.arch.resolution
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    ours = with_weights(begun.arch, {k: torch.from_numpy(v) for k, v in begun.weights.items()})
    theirs = with_weights(
        relative.arch, {k: torch.from_numpy(v) for k, v in relative.weights.items()}
    )
    with torch.inference_mode():
        found, wanted = ours.stages(ours.stem(images)), theirs.stages(theirs.stem(images))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


def test_weights_go_there_and_back() -> None:
    arch = replace(load_architecture("ssdlite:mobilenet_v3_small"), resolution=96)
    weights = weights_of(build_model(arch))
    alone = from_detector(arch, weights)
    again = into_detector(arch, alone)
    assert len(again) == len(alone) > 100
    assert all(again[name] is weights[name] for name in again)


def test_another_detector_gives_its_backbone_and_what_its_head_shares() -> None:
    small = load_architecture("ssdlite:mobilenet_v3_small@96,classes=10")
    data = load_data("digits_scenes:images=20")
    facts = replace(classifier(NAMES[0]).data, classes=data.classes)
    weights = random_weights(lower(small))
    trained = Checkpoint(path=Path("x"), arch=small, weights=weights, data=facts, top1=None)
    assert inherit_weights(trained, small, data, seed=0).share == pytest.approx(1.0)
    others = replace(facts, classes=("cat", *data.classes[1:]))
    renamed = inherit_weights(replace(trained, data=others), small, data, seed=0)
    level = small.detector.levels[0]
    assert (
        renamed.weights[f"{level.boxes}.conv.weight"] == weights[f"{level.boxes}.conv.weight"]
    ).all()
    assert (
        renamed.weights[f"{level.classes}.conv.weight"] != weights[f"{level.classes}.conv.weight"]
    ).any()
    large = load_architecture("ssdlite:mobilenet_v3_large@96,classes=10")
    assert inherit_weights(trained, large, data, seed=0).share > 0.4
