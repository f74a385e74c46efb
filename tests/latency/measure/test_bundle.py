"""Bundles: their content, and their command line."""

import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nas.core.errors import NasError
from nas.latency.measure.bundle import with_validation, write_bundle
from nas.latency.measure.on_target import main
from nas.latency.measure.plan import Plan, plan_space, small_zoo
from nas.latency.measure.run import Target
from nas.latency.measure.samples import CORRECTION, VALIDATION
from nas.space.space import Space


@pytest.fixture(scope="module")
def plan(tiny: Space) -> Plan:
    return plan_space(tiny, networks=10)


def test_validation_networks_are_added_behind_and_are_none_of_the_correction(
    plan: Plan, tiny: Space
) -> None:
    both = with_validation(plan, tiny, 5)
    assert both.jobs[: len(plan.jobs)] == plan.jobs
    proof = both.jobs[len(plan.jobs) :]
    assert {job.role for job in proof} == {VALIDATION}
    assert len(proof) == 5 + len(small_zoo())
    fitted_on = {job.units for job in plan.of(CORRECTION)}
    assert not fitted_on & {job.units for job in proof}


def test_a_backend_that_needs_more_than_its_runtime_is_not_bundled(
    plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(NasError, match="bundles are for onnxruntime and litert, not for fake"):
        write_bundle(plan, tmp_path / "b.zip", target=Target(backend="fake"))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_may_have_any_name(plan: Plan, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / 'my """ {name} \\ bundle.zip'
    write_bundle(replace(plan, jobs=plan.jobs[:1]), path, target=Target(backend="onnxruntime"))
    with zipfile.ZipFile(path) as archive:
        code = [name for name in archive.namelist() if name.endswith(".py")]
        for name in code:
            compile(archive.read(name), name, "exec")
    assert "__main__.py" in code


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rounds 0", "--rounds 0: expected 1 or more"),
        ("--rounds -3", "--rounds -3: expected 1 or more"),
        ("--minutes nan", "--minutes nan: expected a number above 0"),
        ("--cores a,b", "--cores a,b: expected numbers, as in 0 or 2,3"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "s.jsonl"
    monkeypatch.setattr(sys, "argv", ["b.zip", "--out", str(out), *words.split()])
    with pytest.raises(SystemExit) as left:
        main(tmp_path / "b.zip")
    assert left.value.code == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
