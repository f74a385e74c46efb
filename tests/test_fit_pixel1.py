"""The fitting script gives the bundled tables again; needs the published measurements."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nas.data import bundled
from nas.latency_file import load_table

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "experiments" / "fit_pixel1" / "fit.py"
DATA = ROOT.parent / "shared" / "data" / "pixel1"

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published measurements")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    command = [sys.executable, str(SCRIPT), "--data", str(DATA)]
    command += ["--tables", str(folder), "--out", str(folder)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["pixel1", "pixel2", "pixel3"])
def test_script_gives_the_bundled_table_again(name: str, written: Path) -> None:
    again, shipped = (
        load_table(written / f"{name}.yaml"),
        load_table(bundled("latency_tables")[name]),
    )
    assert again.model is not None
    assert shipped.model is not None
    assert dict(again.model.coefficients) == pytest.approx(
        dict(shipped.model.coefficients), rel=1e-3
    )
    assert again.model.ranges == shipped.model.ranges
    assert again.eras["2019"].factor == pytest.approx(shipped.eras["2019"].factor, rel=1e-3)
    assert again.error.mean == pytest.approx(shipped.error.mean, rel=0.01)


def test_held_back_networks_meet_the_required_errors(written: Path) -> None:
    summary = yaml.safe_load((written / "result.yaml").read_text(encoding="utf-8"))["held_back"]
    assert summary["pixel1 2019"]["mean_percent"] <= 3.5
    assert summary["pixel1 2019"]["worst_percent"] <= 8
    assert summary["pixel1 2018"]["mean_percent"] <= 5.5
    assert summary["pixel2 2019"]["mean_percent"] <= 4
    assert summary["pixel3 2019"]["mean_percent"] <= 4
