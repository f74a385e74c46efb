"""The linear fit from accuracies with shared weights to trained ones."""

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import supernets  # noqa: E402

from nas.core.errors import NasError  # noqa: E402
from nas.searching.evaluators.supernet import create  # noqa: E402
from nas.searching.problem import Candidates  # noqa: E402
from nas.space.space import Space  # noqa: E402
from nas.supernet.extract import save_checkpoint  # noqa: E402
from nas.supernet.find import load_supernet  # noqa: E402
from nas.supernet.fit import fit_line, line_of  # noqa: E402
from nas.supernet.scoring import Scorer  # noqa: E402
from nas.training.data import load_data  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_line_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    shared = rng.uniform(0.3, 0.6, 30)
    trained = 0.4 + 0.8 * shared + rng.normal(0, 0.01, 30)
    line = fit_line(shared, trained)
    slope, offset = np.polyfit(shared, trained, 1)
    assert (line.slope, line.offset) == (pytest.approx(slope), pytest.approx(offset))
    rest = trained - np.polyval([slope, offset], shared)
    assert line.deviation == pytest.approx(rest.std(ddof=2))
    near, far = line.deviations(np.array([shared.mean(), 0.9]))
    assert near == pytest.approx(line.deviation * np.sqrt(1 + 1 / 30))
    away = (0.9 - shared.mean()) ** 2 / ((shared - shared.mean()) ** 2).sum()
    assert far == pytest.approx(line.deviation * np.sqrt(1 + 1 / 30 + away))
    assert line.predict(np.array([5.0])).tolist() == [1.0]


def test_trained_networks_give_the_line(tiny: Space, tmp_path: Path) -> None:
    folder = supernets.trained(tmp_path / "sn")
    scorer = Scorer(load_supernet(str(folder)), load_data(supernets.DATA), device="cpu")
    rows = tiny.sample_matrix(np.random.default_rng(0), 6)
    for number, arch in enumerate(tiny.decode_rows(rows[:5])):
        home = tmp_path / "alone" / str(number)
        found = scorer.checkpoint(arch)
        save_checkpoint(home / "best.safetensors", found)
        (home / "train.yaml").write_text("schema: 1\n", encoding="utf-8")
    line = line_of(tmp_path / "alone", scorer)
    assert line.count == 5
    accuracies = {scorer.top1(arch) for arch in tiny.decode_rows(rows[:5])}
    if len(accuracies) > 1:
        assert (line.slope, line.offset) == (pytest.approx(1), pytest.approx(0, abs=1e-9))
    for copy, settings in (("5", ""), ("6", "weights: {fingerprint: a}\n")):
        shutil.copytree(tmp_path / "alone" / "0", tmp_path / "alone" / copy)
        (tmp_path / "alone" / copy / "train.yaml").write_text(f"schema: 1\n{settings}", "utf-8")
    again = line_of(tmp_path / "alone", scorer)  # a second seed, and one that began with weights
    assert (again.count, again.slope) == (5, pytest.approx(line.slope))
    shutil.rmtree(tmp_path / "alone" / "5")
    shutil.rmtree(tmp_path / "alone" / "6")
    evaluator = create(tiny, path=str(folder), trained=str(tmp_path / "alone"), device="cpu")
    assert evaluator.provides == ("top1",)
    assert "a line through 5 trained networks" in evaluator.note
    assert f"nas supernet extract {folder} --arch RUN:best" in evaluator.note
    batch = Candidates(space=tiny, picks=rows)
    assert evaluator(batch)["top1"].shape == evaluator.deviation(batch)["top1"].shape == (6,)
    shutil.rmtree(tmp_path / "alone" / "0")
    shutil.rmtree(tmp_path / "alone" / "1")
    with pytest.raises(NasError, match="has trainings of 3 networks of space tiny on shapes"):
        line_of(tmp_path / "alone", scorer)
