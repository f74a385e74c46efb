"""Latency from a table: upper ends of intervals, and constraints on them."""

from dataclasses import replace

import numpy as np
import pytest
from small_search import search, small

from nas.core.errors import BadValue
from nas.latency.file import load_table
from nas.searching.config import SearchConfig
from nas.searching.evaluators.table import create
from nas.searching.metrics import UPPER
from nas.searching.problem import Candidates, Metrics
from nas.searching.setup import prepare
from nas.space.file import load_space

MEASURED = "epyc_genoa_onnxruntime_1t_fp32_mobilenetv3"


def _said(space_name: str, table_name: str, confidence: float) -> tuple[Candidates, Metrics]:
    space, table = load_space(space_name), load_table(table_name)
    picks = space.sample_matrix(np.random.default_rng(0), 30)
    candidates = Candidates(space=space, picks=picks)
    evaluator = create(space, table=table, confidence=confidence, allow_extrapolation=True)
    return candidates, evaluator(candidates)


@pytest.mark.parametrize(
    ("space", "table"),
    [
        ("mbconv", "pixel1"),  # assumptions, units and resolutions out of range
        ("mnasnet_b0", "pixel2"),
        ("mobilenetv3", MEASURED),
        ("mnasnet_b0", MEASURED),  # modelled units
    ],
)
def test_the_upper_end_is_that_of_the_predicted_interval(space: str, table: str) -> None:
    loaded = load_table(table)
    candidates, found = _said(space, table, loaded.spread.coverage)
    expected = [loaded.predict(arch).high_ms for arch in candidates.archs]
    assert found[UPPER] == pytest.approx(expected, abs=1e-5)


def test_more_confidence_asks_for_more() -> None:
    _, half = _said("mnasnet_b0", "pixel1", 0.5)
    _, most = _said("mnasnet_b0", "pixel1", 0.9)
    width = [(one[UPPER] - one["latency_ms"]) for one in (half, most)]
    assert width[1] / width[0] == pytest.approx(np.full(30, 1.644854 / 0.674490), rel=1e-4)


def test_a_limit_on_latency_is_one_on_its_upper_end() -> None:
    config = small(limit=("latency_ms<=80", "macs<=1G"), limit_confidence=0.9, trials=300)
    assert [str(c) for c in prepare(config).problem.limits] == [f"{UPPER}<=80", "macs<=1000000000"]
    run = search(config)
    assert max(solution.latency.high_ms for solution in run.solutions) <= 80
    plain = search(replace(config, limit_confidence=0.0))
    assert max(solution.latency.high_ms for solution in plain.solutions) > 80


@pytest.mark.parametrize("confidence", [-0.1, 1.0, float("nan")])
def test_a_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(BadValue, match="limit_confidence must be a number from 0 to 1"):
        SearchConfig(limit_confidence=confidence)
