"""The fit of published accuracies: its data, its process, and what it must not see."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

import json

from experiments.fit_published_accuracy import process as of_process
from experiments.fit_published_accuracy.process import (
    GROUPS,
    PRIORS,
    Covariance,
    Process,
    logit,
    percent,
    tune,
)
from experiments.fit_published_accuracy.rows import (
    NONE,
    PUBLISHED,
    TRAININGS,
    Table,
    architecture,
    at_reference,
)
from nas.accuracy.features import NAMES
from nas.network.cost import cost
from nas.network.layers import Linear
from nas.network.lowering import lower

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "published_accuracies"


def _table(count: int, seed: int) -> Table:
    """Networks whose logits are a line over the first feature, 0.3 higher by recipe 1."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(NAMES)))
    schemes = np.where(np.arange(count) % 3 == 0, TRAININGS, PUBLISHED)
    recipes = np.where(schemes == PUBLISHED, np.arange(count) % 2, NONE)
    families = np.where(schemes == PUBLISHED, np.arange(count) % 4, NONE)
    logits = 1 + 0.2 * features[:, 0] + 0.05 * (recipes == 1) - 0.5 * (schemes == TRAININGS)
    distilled = np.zeros(count, dtype=bool)
    return Table(features, percent(logits), schemes, recipes, families, distilled)


def test_accuracies_and_logits_are_each_other() -> None:
    values = np.array([10.0, 50.0, 77.1])
    assert percent(logit(values)) == pytest.approx(values)
    assert logit(np.array([50.0])) == pytest.approx([0])


def test_every_feature_is_in_one_group() -> None:
    assert sorted(i for group in GROUPS for i in group) == list(range(len(NAMES)))
    for group in GROUPS:
        assert len({NAMES[i].split("_")[0] for i in group}) == 1


def test_gradient_is_that_of_the_covariances() -> None:
    table = _table(12, 0)
    between = Covariance(table, table)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(12, 12))
    weights += weights.T
    values = {n: centre + rng.normal(0, 0.1, k) for n, (centre, _, k) in PRIORS.items()}
    found = between.gradient(values, weights)
    for name, gradient in found.items():
        for i in range(len(gradient)):
            step = np.zeros(len(gradient))
            step[i] = 1e-5
            above = np.vdot(weights, between({**values, name: values[name] + step}))
            below = np.vdot(weights, between({**values, name: values[name] - step}))
            assert gradient[i] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-6)


def test_a_line_is_learned_and_a_recipe_taken_off() -> None:
    table = _table(60, 2)
    process = Process(table, tune(table, steps=15))
    new = _table(20, 3)
    plain = at_reference(new.features)
    assert process(plain).mean == pytest.approx(1 + 0.2 * new.features[:, 0], abs=0.1)


def test_predictions_do_not_depend_on_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    table, new = _table(30, 2), at_reference(_table(7, 3).features)
    values = {n: np.full(k, centre) for n, (centre, _, k) in PRIORS.items()}
    process = Process(table, values)
    whole = process(new)
    monkeypatch.setattr(of_process, "_BLOCK", 3)
    parts = process(new)
    assert parts.mean == pytest.approx(whole.mean)
    assert parts.deviation == pytest.approx(whole.deviation)


def test_what_is_known_is_predicted_as_it_is_and_what_is_far_is_not_sure() -> None:
    table = _table(40, 2)
    values = {n: np.full(k, centre) for n, (centre, _, k) in PRIORS.items()}
    process = Process(table, values)
    known = process(table)
    assert known.mean == pytest.approx(logit(table.top1), abs=0.06)
    far = at_reference(table.features[:5] + 8)
    assert (process(far).deviation > 3 * process(at_reference(table.features[:5])).deviation).all()
    assert (known.total > known.deviation).all()


def test_the_family_that_is_left_out_takes_no_part() -> None:
    families = pytest.importorskip("experiments.fit_published_accuracy.families")
    table = _table(60, 4)
    table = table.take(table.schemes == PUBLISHED)
    none = _table(9, 5)
    large = families.Large(none, none)
    before = families.leave_out(table, ["a", "b", "c", "d"], large)
    moved = replace(table, top1=np.where(table.families == 1, 99.0, table.top1))
    after = families.leave_out(moved, ["a", "b", "c", "d"], large)
    one, other = (next(f for f in each if f.name == "b") for each in (before, after))
    inside = table.families == 1
    assert one.errors + table.top1[inside] == pytest.approx(other.errors + 99.0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data are not here")
def test_published_networks_have_the_costs_of_their_records() -> None:
    for record in json.loads((SHARED / "networks.json").read_text(encoding="utf-8")):
        arch = architecture(record)
        found = cost(arch)
        assert found.params / 1e6 == pytest.approx(record["params_m"], rel=2e-3)
        assert found.macs / 1e6 == pytest.approx(record["macs_m"], rel=2e-3)
        last = lower(arch)[-1].layers[-1]
        assert isinstance(last, Linear)
        assert last.out_features == 1000
