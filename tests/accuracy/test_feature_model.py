"""The predictor from features: predictions of the bundled one, and checks of its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.accuracy.feature_model import (
    FeatureHeader,
    FeatureModel,
    load_feature_model,
    write_feature_model,
)
from nas.accuracy.features import NAMES, features
from nas.accuracy.mlp import MLP
from nas.core.data import bundled
from nas.core.errors import BadFile, BadValue, UnknownName
from nas.latency.file import load_table
from nas.network.blocks import Architecture
from nas.network.multipliers import Multipliers, scale
from nas.network.zoo import load_architecture
from nas.space.file import load_space

PUBLISHED = {
    "mobilenet_v3_large": 0.752, "mobilenet_v3_small": 0.675, "mnasnet_a1": 0.752,
    "mnasnet_b1": 0.745, "efficientnet_b0": 0.771, "efficientnet_b1": 0.791,
}  # fmt: skip
USED = ("g_macs", "r_side")
HEADER = FeatureHeader(
    schema=1, metric="top1", features=USED, source="nowhere", note="a test", family=0.3,
    left_out=0.01,
)  # fmt: skip


def _network(outputs: float) -> MLP:
    weights = (np.zeros((len(USED), 1), dtype=np.float32),)
    return MLP(weights=weights, biases=(np.array([outputs], dtype=np.float32),))


@pytest.fixture
def model() -> FeatureModel:
    """A model in which each doubling of resolution adds 0.5 logits."""
    return FeatureModel(
        header=HEADER,
        mean=np.array([0, np.log(224)], dtype=np.float32),
        unit=np.array([1, np.log(2)], dtype=np.float32),
        low=np.array([0, np.log(112)], dtype=np.float32),
        high=np.array([99, np.log(448)], dtype=np.float32),
        linear=np.array([0, 0.5], dtype=np.float32),
        network=_network(1.0),
        spread=_network(np.log(0.4)),
    )  # fmt: skip


def test_logits_become_fractions_and_deviations(model: FeatureModel) -> None:
    arch = load_architecture("mobilenet_v2")
    expected = 1 / (1 + np.exp(-1.0))
    accuracy, deviation = model.predict(arch)
    assert accuracy == pytest.approx([expected], abs=1e-6)
    assert deviation == pytest.approx([0.5 * expected * (1 - expected)], abs=1e-6)
    without = model.predict(arch, family=False).deviation
    assert without == pytest.approx([0.4 * expected * (1 - expected)], abs=1e-6)
    larger = model.predict(replace(arch, resolution=448)).accuracy
    assert larger == pytest.approx([1 / (1 + np.exp(-1.5))], abs=1e-6)


def test_extrapolation_is_reported_and_less_certain(model: FeatureModel) -> None:
    arch = load_architecture("mobilenet_v2")
    far = replace(arch, resolution=896)
    assert model.outside(arch) == ""
    expected = "resolution beyond the networks that the predictor was fitted on"
    assert model.outside(far) == expected
    ratio = [model.predict(each).deviation[0] / _slope(model, each) for each in (arch, far)]
    assert ratio[1] > ratio[0]


def _slope(model: FeatureModel, arch: Architecture) -> float:
    accuracy = float(model.predict(arch).accuracy[0])
    return accuracy * (1 - accuracy)


def test_a_file_keeps_the_model(model: FeatureModel, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    write_feature_model(model, path)
    again = load_feature_model(path)
    assert again.fingerprint == model.fingerprint
    assert again.header == model.header


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": ["g_macs", "g_taste"]}, "feature 'g_taste' is unknown to this version"),
        ({"features": ["g_macs"]}, "mean must have a number for each of 1 features"),
        ({"metric": "top5"}, "metric must be one of top1, not 'top5'"),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_a_bad_header_is_named(
    model: FeatureModel, tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    path = tmp_path / "mine.npz"
    write_feature_model(model, path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["header"] = np.array(json.dumps({**json.loads(str(arrays["header"])), **changed}))
    np.savez(path, **arrays)
    with pytest.raises(BadFile, match=message) as caught:
        load_feature_model(path)
    assert str(caught.value).startswith(str(path))


def test_arrays_must_fit(model: FeatureModel) -> None:
    with pytest.raises(BadValue, match="unit must be above 0"):
        replace(model, unit=np.zeros(len(USED), dtype=np.float32))
    wide = (np.zeros((3, 1), dtype=np.float32),)
    with pytest.raises(BadValue, match="the networks must have 2 inputs"):
        replace(model, spread=MLP(weights=wide, biases=(np.zeros(1, dtype=np.float32),)))


def test_an_unknown_name_brings_the_closest() -> None:
    with pytest.raises(UnknownName, match="did you mean published"):
        load_feature_model("publishd")


def test_the_bundled_model_is_small_and_knows_its_features() -> None:
    assert bundled("accuracy_models", ".npz")["published"].stat().st_size <= 500_000
    header = load_feature_model().header
    assert set(header.features) <= set(NAMES)
    assert "not trained" in header.note


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_networks_are_predicted_within_their_interval(name: str) -> None:
    accuracy, deviation = load_feature_model().predict(load_architecture(name))
    assert abs(accuracy[0] - PUBLISHED[name]) < min(1.645 * deviation[0], 0.012)


def test_scaled_networks_are_predicted_too() -> None:
    model, b0 = load_feature_model(), load_architecture("efficientnet_b0")
    archs = [b0, *(scale(b0, Multipliers(width=width)) for width in (0.5, 0.75, 1.25))]
    own, half, less, more = model.predict(archs).accuracy
    assert half < less < own < more


def test_a_row_has_the_accuracy_of_its_network_in_every_batch() -> None:
    space, model = load_space("mbconv"), load_feature_model()
    rows = space.sample_matrix(np.random.default_rng(0), 30)
    together = model.over(space)(rows)
    assert np.array_equal(together, model.predict([space.decode_row(row) for row in rows]))
    assert np.array_equal(model.over(space)(rows[7:8]), np.stack(together)[:, 7:8])
    assert model.over(space)(rows[:0]).accuracy.shape == (0,)


def test_a_kernel_or_a_depth_never_seen_is_named_and_less_sure() -> None:
    model, b0 = load_feature_model(), load_architecture("efficientnet_b0")
    stages = tuple(tuple(replace(block, kernel=9) for block in stage) for stage in b0.stages)
    wide = replace(b0, stages=stages)
    assert "kernels" in model.outside(wide)
    assert model.predict(wide).deviation[0] > 1.3 * model.predict(b0).deviation[0]
    deep = replace(b0, stages=(*b0.stages[:-1], (b0.stages[-1][0], *_more(b0, 40))))
    assert "depth" in model.outside(deep)


def _more(arch: Architecture, count: int) -> tuple[object, ...]:
    last = arch.stages[-1][-1]
    more = replace(last, in_channels=last.out_channels, hidden_channels=6 * last.out_channels)
    return (more,) * count


def test_latency_and_accuracy_of_known_points_are_near_the_published_ones() -> None:
    space = load_space("mbconv")
    rows = [
        space.pack(space.encode(load_architecture(n))) for n in ("efficientnet_b0", "mnasnet_a1")
    ]
    top1 = load_feature_model().over(space)(np.stack(rows)).accuracy
    assert top1 == pytest.approx([0.771, 0.752], abs=0.01)
    assert load_table("pixel1").over(space)(np.stack(rows)) == pytest.approx(
        [128.6, 70.3], rel=0.02
    )


@pytest.mark.parametrize(
    ("name", "width", "published"),
    [
        ("mobilenet_v3_large", 1.0, 0.752),
        ("mobilenet_v3_large", 0.75, 0.733),
        ("mobilenet_v3_small", 1.0, 0.675),
        ("mobilenet_v3_small", 0.75, 0.654),
    ],
)
def test_mobilenetv3_of_both_widths_is_predicted_within_less_than_a_point(
    name: str, width: float, published: float
) -> None:
    arch = scale(load_architecture(name), Multipliers(width=width))
    assert load_feature_model().predict(arch).accuracy == pytest.approx([published], abs=0.006)


def test_features_alone_are_enough() -> None:
    model, arch = load_feature_model(), load_architecture("mobilenet_v3_small")
    assert np.array_equal(model.predict_features(features(arch)), model.predict(arch))
