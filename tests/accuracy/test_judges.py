"""The second opinion on published accuracies: which judge gives it, and checks of its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.accuracy.features import NAMES, features
from nas.accuracy.judges import SQUARED, Judges, JudgesHeader, load_judges, write_judges
from nas.core.errors import BadFile, BadValue
from nas.network.zoo import load_architecture

COUNT = len(NAMES)


@pytest.fixture
def judges() -> Judges:
    """Two families, at -1 and 1 of every feature; the judge without the first predicts 0.5, others
    more."""
    weights = np.zeros((2, COUNT + len(SQUARED) + 1), dtype=np.float32)
    weights[1, 0], weights[1, COUNT], weights[1, -1] = 1.0, 0.5, 2.0
    return Judges(
        header=JudgesHeader(schema=1, metric="top1", families=("a", "b"), source="nowhere"),
        mean=np.zeros(COUNT, dtype=np.float32),
        unit=np.full(COUNT, 2, dtype=np.float32),
        weights=weights,
        known=np.stack([np.full(COUNT, -1), np.full(COUNT, 1)]).astype(np.float32),
        family=np.array([0, 1], dtype=np.float32),
    )


def test_the_judge_without_the_nearest_family_is_asked(judges: Judges) -> None:
    rows = np.stack([np.full(COUNT, -3.0), np.full(COUNT, 4.0)])
    found = judges(rows)
    assert found.family.tolist() == [0, 1]
    logit = 1.0 * 2.0 + 0.5 * 2.0**2 + 2.0  # a weight, one of a square, a constant
    assert found.accuracy == pytest.approx([0.5, 1 / (1 + np.exp(-logit))], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "family", "published"),
    [
        ("mobilenet_v3_large", "V3", 0.752),
        ("mnasnet_a1", "MnasNet", 0.752),
        ("efficientnet_b0", "EfficientNet", 0.771),
    ],
)
def test_known_networks_are_judged_without_their_own_family(
    name: str, family: str, published: float
) -> None:
    judges = load_judges()
    found = judges(features(load_architecture(name)))
    assert judges.header.families[found.family[0]] == family
    assert found.accuracy[0] == pytest.approx(published, abs=0.02)


def test_a_file_gives_the_same_judges_back(judges: Judges, tmp_path: Path) -> None:
    write_judges(judges, tmp_path / "x.npz")
    found = load_judges(tmp_path / "x.npz")
    assert found.header == judges.header
    rows = np.random.default_rng(0).normal(size=(5, COUNT))
    assert np.array_equal(found(rows).accuracy, judges(rows).accuracy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.zeros(3, dtype=np.float32)}, "mean must have the shape"),
        ({"unit": np.zeros(COUNT, dtype=np.float32)}, "unit must be above 0"),
        ({"family": np.array([0, 7], dtype=np.float32)}, "numbers of the families"),
        ({"weights": np.zeros((1, 4), dtype=np.float32)}, "weights must have the shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    judges: Judges, tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(BadValue, match=message):
        replace(judges, **change)
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(BadFile, match="of plain arrays"):
        load_judges(tmp_path / "x.npz")
