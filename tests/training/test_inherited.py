"""The weights that a network inherits from a trained relative, of ours or of others."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from nas.core.errors import NasError  # noqa: E402
from nas.exporting.export import export  # noqa: E402
from nas.network.checkpoint import Checkpoint, DataMetadata  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.inherited import find_relative, inherit_weights  # noqa: E402
from nas.training.task import for_classes  # noqa: E402

pytestmark = pytest.mark.torch


def relative(name: str, classes: tuple[str, ...]) -> Checkpoint:
    arch = for_classes(load_architecture(name), len(classes))
    facts = DataMetadata(
        name="made", fingerprint="", classes=classes, mean=(0.5,) * 3, deviation=(0.25,) * 3
    )
    weights = random_weights(lower(arch))
    return Checkpoint(path=Path("made"), arch=arch, weights=weights, data=facts, top1=None)


def test_the_architecture_of_foreign_weights_is_found(tmp_path: Path) -> None:
    trained = relative("mobilenet_v2", tuple("abc"))
    export(trained.arch, tmp_path / "there", form="timm", weights=trained.weights)
    found = find_relative(f"timm:{tmp_path / 'there'}")
    assert found.arch.stages == trained.arch.stages
    assert found.arch.norm_epsilon == trained.arch.norm_epsilon


def test_a_source_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"there is no file .*none\.safetensors"):
        find_relative(f"timm:{tmp_path}/none.safetensors")


def test_a_classifier_of_other_classes_does_not_count() -> None:
    data = load_data("digits")
    arch = load_architecture("mobilenet_v3_small@0.35-32")
    same = relative("mobilenet_v3_small@0.35-32", data.classes)
    others = relative("mobilenet_v3_small@0.35-32", tuple("abcdefghij"))
    begun = inherit_weights(others, arch, data, seed=0)
    assert inherit_weights(same, arch, data, seed=0).share == 1.0
    assert begun.share < 1.0
    assert begun.normalisation == others.normalisation
