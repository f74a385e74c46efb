"""The fitting script reproduces the bundled tables; needs the published measurements."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nas.core.data import bundled

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "experiments" / "fit_pixel1"
DATA = ROOT.parent / "shared" / "data" / "pixel1"

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published measurements")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    command = [sys.executable, "-m", "experiments.fit_pixel1.run", "--data", str(DATA)]
    command += ["--tables", str(folder), "--out", str(folder)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["pixel1", "pixel1_2018", "pixel2", "pixel3"])
def test_script_writes_the_bundled_table_byte_for_byte(name: str, written: Path) -> None:
    assert (written / f"{name}.yaml").read_bytes() == bundled("latency_tables")[name].read_bytes()


def test_script_writes_the_committed_result_byte_for_byte(written: Path) -> None:
    committed = FOLDER / "result.yaml"
    assert (written / "result.yaml").read_bytes() == committed.read_bytes()


def test_documents_give_the_errors_of_the_result(written: Path) -> None:
    summary = yaml.safe_load((written / "result.yaml").read_text(encoding="utf-8"))["held_back"]
    front = (ROOT / "docs/reference/numbers.md").read_text(encoding="utf-8")
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, year in (("pixel1", 2019), ("pixel1_2018", 2018)):
        found = summary[name]
        mean, worst = round(found["mean_percent"], 1), found["worst_percent"]
        row = f"| `{name}`, networks of {year} | mean error {mean} %, worst {worst} %"
        assert row in front
        assert f"| Pixel 1, {year} | {found['networks']} | {mean} % | {worst} % |" in page


def test_held_back_networks_meet_the_required_errors(written: Path) -> None:
    summary = yaml.safe_load((written / "result.yaml").read_text(encoding="utf-8"))["held_back"]
    assert summary["pixel1"]["mean_percent"] <= 3.5
    assert summary["pixel1"]["worst_percent"] <= 8
    assert summary["pixel1_2018"]["mean_percent"] <= 5.5
    assert summary["pixel2"]["mean_percent"] <= 4
    assert summary["pixel3"]["mean_percent"] <= 4
