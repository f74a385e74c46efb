"""Accuracy models: predictions of the bundled ones, and checks of their files."""

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.accuracy.predictor import (
    MLP,
    AccuracyModel,
    HoldOut,
    Scale,
    domain_fingerprint,
    load_accuracy_model,
    modelled_spaces,
    one_hot,
    write_accuracy_model,
)
from nas.core.data import bundled
from nas.core.errors import BadFile, NotInSpace, UnknownName
from nas.network.zoo import load_architecture
from nas.searching.evaluators.surrogate import Surrogate
from nas.space.file import load_space

MODELS = modelled_spaces()
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def network(space, hidden=4, seed=0):
    rng = np.random.default_rng(seed)
    sizes = [int(space.widths.sum()), hidden, 1]
    return MLP(
        weights=tuple(rng.normal(size=s).astype(np.float32) for s in [sizes[:2], sizes[1:]]),
        biases=tuple(rng.normal(size=n).astype(np.float32) for n in sizes[1:]),
    )


@pytest.fixture
def model():
    space = load_space("mobilenetv3")
    return AccuracyModel(
        domain=space,
        metric="top1",
        source="nowhere",
        note="a test",
        mean=network(space),
        spread=network(space, seed=1),
        scale=Scale(intercept=0.1, slope=0.5, deviation=0.02),
        held_out=HoldOut(rows=3, tau=0.5, r2=0.5, mae=0.01, within_one=0.7, within_two=0.9),
    )


def saved(model, path, **changed):
    """Write `model` with entries of the file replaced, or removed where None."""
    write_accuracy_model(model, path)
    with np.load(path) as file:
        arrays = {**{name: file[name] for name in file.files}, **changed}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def header(model, path, **changed):
    write_accuracy_model(model, path)
    with np.load(path) as file:
        content = {**json.loads(str(file["header"])), **changed}
    return saved(model, path, header=np.array(json.dumps(content)))


def test_both_searchable_spaces_have_a_model():
    assert set(MODELS) >= {"mnasnet_b0", "mobilenetv3"}


@pytest.mark.parametrize("name", MODELS)
def test_bundled_model_is_small_and_says_what_it_is(name):
    model = load_accuracy_model(name)
    assert bundled("accuracy_models", ".npz")[name].stat().st_size <= 300_000
    assert model.space == name
    assert model.source
    assert "\n" not in model.note
    assert model.held_out is not None
    assert 0.6 < model.held_out.within_one < 0.8
    assert 0.9 < model.held_out.within_two < 0.99


def test_b0_is_on_the_scale_of_the_shortened_scheme():
    model = load_accuracy_model("mnasnet_b0")
    top1, deviation = model.predict([load_architecture("efficientnet_b0")])
    assert model.metric == "top1_proxy"
    assert top1 == pytest.approx(0.657, abs=0.003)
    assert 0.0005 < deviation[0] < 0.01


def test_point_nearest_to_v3_large_is_on_the_published_scale():
    model = load_accuracy_model("mobilenetv3")
    top1, deviation = model.predict([load_architecture("mobilenet_v3_large_nearest")])
    assert model.metric == "top1"
    assert top1 == pytest.approx(0.757, abs=0.002)
    assert deviation[0] > 0.0027  # unexplained by the map to the published scale


@pytest.mark.parametrize("name", MODELS)
def test_architectures_and_picks_give_the_same_numbers(name):
    model = load_accuracy_model(name)
    matrix = model.domain.sample_matrix(np.random.default_rng(0), 5)
    from_archs = model.predict([model.domain.decode_row(row) for row in matrix])
    np.testing.assert_array_equal(from_archs, model.predict_matrix(matrix))
    np.testing.assert_array_equal(from_archs.accuracy, model.accuracy(matrix))


@pytest.mark.parametrize("name", MODELS)
def test_a_row_has_one_value_in_whatever_batch(name):
    model = load_accuracy_model(name)
    matrix = model.domain.sample_matrix(np.random.default_rng(1), 600)
    together = model.predict_matrix(matrix)
    assert (np.round(together, 6) == together).all()
    for start, stop in ((0, 1), (3, 260), (590, 600), (4, 4)):
        part = model.predict_matrix(matrix[start:stop])
        np.testing.assert_array_equal(part.accuracy, together.accuracy[start:stop])
        np.testing.assert_array_equal(part.deviation, together.deviation[start:stop])


def test_fingerprint_is_of_weights_and_scale(model):
    assert replace(model, scale=Scale()).fingerprint != model.fingerprint
    assert replace(model, mean=model.spread).fingerprint != model.fingerprint
    assert replace(model, note="another").fingerprint == model.fingerprint


def test_whole_and_broken_numbers_of_a_scale_give_one_fingerprint(model):
    whole = replace(model, scale=Scale(intercept=0.1, slope=1, deviation=0))
    broken = replace(model, scale=Scale(intercept=0.1, slope=1.0, deviation=0.0))
    assert whole.fingerprint == broken.fingerprint
    assert whole.earlier_fingerprints == broken.earlier_fingerprints
    arrays = [a for n in (model.mean, model.spread) for a in (*n.weights, *n.biases)]
    weights = b"".join(array.tobytes() for array in arrays)
    for text in ("slope=1, deviation=0.0", "slope=1.0, deviation=0"):  # what was hashed before
        before = hashlib.sha256(f"Scale(intercept=0.1, {text})".encode() + weights).hexdigest()
        assert before[:16] in broken.earlier_fingerprints - {broken.fingerprint}
        assert f"surrogate:{before[:16]}" in Surrogate(broken).earlier


def test_inactive_picks_change_nothing():
    model = load_accuracy_model("mobilenetv3")
    rng = np.random.default_rng(0)
    full = rng.integers(0, model.domain.widths, size=(50, len(model.domain.widths)))
    matrix = full.astype(np.uint8)
    canonical = model.domain.canonical(matrix)
    assert (matrix != canonical).any()
    np.testing.assert_array_equal(model.accuracy(matrix), model.accuracy(canonical))
    assert one_hot(model.domain, matrix).sum() == model.domain.active(matrix).sum()


@pytest.mark.parametrize(
    ("name", "folder", "target"),
    [
        ("mnasnet_b0", "imagenet_mnasnet", "val_top1"),
        ("mobilenetv3", "imagenet_mobilenetv3", "predicted_top1"),
    ],
)
def test_bundled_model_follows_its_data(name, folder, target):
    path = DATA / folder / "train.csv"
    if not path.is_file():
        pytest.skip("needs the published accuracies")
    kendalltau = pytest.importorskip("scipy.stats").kendalltau
    model = load_accuracy_model(name)
    with path.open(newline="") as file:
        records = list(csv.DictReader(file))[:2000]
    matrix = np.array([model.domain.pack(picks_of(record, name)) for record in records])
    wanted = np.array([float(record[target]) / 100 for record in records])
    error = replace(model, scale=Scale()).accuracy(matrix) - wanted
    assert kendalltau(model.accuracy(matrix), wanted).statistic > 0.93
    assert 1 - np.mean(error**2) / np.var(wanted) > 0.985


def picks_of(record, name):
    if name == "mobilenetv3":
        return {k: int(v) for k, v in record.items() if v and k != "predicted_top1"}
    fields = {"e": "expansion", "k": "kernel", "l": "layers", "se": "se"}
    picks = {}
    for key, value in record.items():
        if key.startswith("block"):
            block, field = key.removeprefix("block").split("_")
            number = bool(int(value)) if field == "se" else int(value)
            picks[f"stage{int(block) + 1}_{fields[field]}"] = number
    return picks


def test_known_network_gives_known_answer():
    space = load_space("mnasnet_b0")
    size = int(space.widths.sum())
    weight = np.zeros((size, 1), dtype=np.float32)
    weight[:3, 0] = (0.25, 0.5, 0.75)  # the first choice is the first stage's expansion
    flat = MLP(weights=(weight,), biases=(np.array([0.125], dtype=np.float32),))
    zero = MLP(weights=(0 * weight,), biases=(np.log([0.25]).astype(np.float32),))
    known = AccuracyModel(
        domain=space, metric="top1", source="s", note="n", mean=flat, spread=zero,
        scale=Scale(intercept=0.5, slope=0.5, deviation=0.125 * 3**0.5),
    )  # fmt: skip
    matrix = np.zeros((3, len(space.columns)), dtype=np.uint8)
    matrix[:, 0] = (0, 1, 2)
    top1, deviation = known.predict_matrix(matrix)
    np.testing.assert_allclose(top1, [0.6875, 0.8125, 0.9375])
    np.testing.assert_allclose(deviation, 0.25)


def test_one_hidden_unit_is_x_times_sigmoid():
    one = np.ones((1, 1), dtype=np.float32)
    zero = np.zeros(1, dtype=np.float32)
    unit = MLP(weights=(one, one), biases=(zero, zero))
    values = unit(np.array([[1.0], [-1000.0], [1000.0]], dtype=np.float32))
    np.testing.assert_allclose(values, [0.7310586, 0, 1000], atol=1e-6)


def test_a_written_model_comes_back(model, tmp_path):
    path = tmp_path / "own.npz"
    write_accuracy_model(model, path)
    again = load_accuracy_model(path)
    assert (again.metric, again.source, again.note) == ("top1", "nowhere", "a test")
    assert (again.scale, again.held_out) == (model.scale, model.held_out)
    matrix = model.domain.sample_matrix(np.random.default_rng(0), 9)
    np.testing.assert_array_equal(again.predict_matrix(matrix), model.predict_matrix(matrix))
    write_accuracy_model(replace(model, held_out=None), path)
    assert load_accuracy_model(path).held_out is None


def test_what_lies_outside_of_the_fitted_range_is_reported(model, tmp_path):
    assert model.outside(0.0) == ""  # the range is unknown
    known = replace(model, fitted_range=(0.2, 0.6))  # 0.2 to 0.4 as reported
    path = tmp_path / "own.npz"
    write_accuracy_model(known, path)
    assert load_accuracy_model(path).fitted_range == (0.2, 0.6)
    assert (known.outside(0.2), known.outside(0.3), known.outside(0.4)) == ("", "", "")
    assert known.outside(0.19) == (
        "below the 20.00 % of the worst network that the model was fitted on"
    )
    assert known.outside(0.41).startswith("above the 40.00 % of the best network")
    assert known.fingerprint == model.fingerprint


def test_a_file_without_a_range_is_read(model, tmp_path):
    path = tmp_path / "own.npz"
    write_accuracy_model(replace(model, fitted_range=(0.2, 0.6)), path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    content = json.loads(str(arrays["header"]))
    del content["fitted_range"]
    np.savez(path, **{**arrays, "header": np.array(json.dumps(content))})
    assert load_accuracy_model(path).fitted_range is None
    header(model, path, fitted_range=[0.6, 0.2])
    with pytest.raises(BadFile, match="least value and the largest"):
        load_accuracy_model(path)


@pytest.mark.parametrize(
    ("name", "folder", "target"),
    [
        ("mnasnet_b0", "imagenet_mnasnet", "val_top1"),
        ("mobilenetv3", "imagenet_mobilenetv3", "predicted_top1"),
    ],
)
def test_bundled_model_knows_the_range_of_its_data(name, folder, target):
    path = DATA / folder / "train.csv"
    if not path.is_file():
        pytest.skip("needs the published accuracies")
    with path.open(newline="") as file:
        top1 = [float(record[target]) / 100 for record in csv.DictReader(file)]
    assert load_accuracy_model(name).fitted_range == pytest.approx((min(top1), max(top1)))


def test_unknown_model_names_the_closest():
    with pytest.raises(UnknownName, match=r"unknown accuracy model 'mnasnet_b'.*mnasnet_b0"):
        load_accuracy_model("mnasnet_b")


def test_architecture_outside_the_space_is_refused():
    with pytest.raises(NotInSpace, match="mobilenet_v2 is not in space mnasnet_b0"):
        load_accuracy_model("mnasnet_b0").predict([load_architecture("mobilenet_v2")])


def test_model_of_another_space_is_refused(model, tmp_path):
    path = tmp_path / "own.npz"
    write_accuracy_model(model, path)
    with pytest.raises(BadFile, match=r"own\.npz: .* networks of space mobilenetv3"):
        load_accuracy_model(path, load_space("mnasnet_b0"))


def test_model_of_other_choices_is_refused(model, tmp_path):
    other = replace(model.domain, resolutions=model.domain.resolutions[::-1])
    assert domain_fingerprint(other) != domain_fingerprint(model.domain)
    path = tmp_path / "own.npz"
    write_accuracy_model(model, path)
    with pytest.raises(BadFile, match="fit one for it"):
        load_accuracy_model(path, other)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema": 2}, "own.npz: header: schema is 2; this version reads 1"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"metric": "loss"}, "metric must be one of top1, top1_proxy, not 'loss'"),
        ({"source": 3}, "header: source must be a text, not 3"),
        ({"scale": {"slop": 0.0}}, "scale: unknown key 'slop'; did you mean slope"),
        (
            {"scale": {"intercept": "0", "slope": 1, "deviation": 0}},
            "scale.intercept must be a number from -100 to 100",
        ),
        ({"held_out": [1]}, "must be a mapping"),
        ({"held_out": {"rows": float("nan")}}, "NaN is not JSON"),
    ],
)
def test_bad_header_is_refused(model, tmp_path, changed, message):
    with pytest.raises(BadFile, match=message):
        load_accuracy_model(header(model, tmp_path / "own.npz", **changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mean_weight0": np.full((140, 4), np.nan, dtype=np.float32)}, "not a finite number"),
        ({"mean_weight0": np.zeros((140, 5), dtype=np.float32)}, "do not chain"),
        ({"mean_weight0": np.zeros((9, 4), dtype=np.float32)}, "9 inputs; space mobilenetv3"),
        ({"mean_bias0": np.zeros(5, dtype=np.float32)}, "do not fit"),
        ({"mean_bias0": None}, "mean_bias0 must be float32, found none"),
        ({"spread_bias1": np.zeros(1)}, "must be float32, found float64"),
        ({"extra": np.zeros(1)}, "besides the header"),
        ({"header": None}, "no entry 'header'"),
        ({"header": np.array("{")}, "header: "),
        ({"header": np.array("[]")}, "a mapping"),
    ],
)
def test_bad_entry_is_refused(model, tmp_path, changed, message):
    with pytest.raises(BadFile, match=rf"own\.npz: .*{message}"):
        load_accuracy_model(saved(model, tmp_path / "own.npz", **changed))


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 but no archive", b"\x93NUMPY"])
def test_garbage_is_refused(tmp_path, content):
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"own\.npz: "):
        load_accuracy_model(path)


def test_single_array_is_refused(tmp_path):
    path = tmp_path / "own.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(BadFile, match="plain arrays"):
        load_accuracy_model(path)


def test_truncated_file_is_refused(model, tmp_path):
    path = tmp_path / "own.npz"
    write_accuracy_model(model, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadFile, match=r"own\.npz: "):
        load_accuracy_model(path)


def test_pickled_entry_is_refused(model, tmp_path):
    path = saved(model, tmp_path / "own.npz", extra=np.array([{}], dtype=object))
    with pytest.raises(BadFile, match="plain arrays"):
        load_accuracy_model(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(BadFile, match="no such file"):
        load_accuracy_model(tmp_path / "own.npz")
