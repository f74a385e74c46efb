"""Releases: an sdist, and from it a wheel that contains the data and works."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BUNDLED = ("search_spaces", "latency_tables", "architectures", "accuracy_models")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that was built from an sdist."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(out)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    (sdist,) = out.glob("nas-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, check=True, cwd=sdist.with_name(sdist.name[:-7]), capture_output=True)
    (found,) = out.glob("nas-*.whl")
    return found


def test_the_wheel_holds_the_code_and_the_bundled_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "nas").rglob("*.py")}
    data = {
        f"nas/bundled/{path.relative_to(ROOT)}"
        for folder in BUNDLED
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".yaml", ".npz")
    }
    assert len(data) > 40
    assert {*code, *data, "nas/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "experiments"))]


def test_the_wheel_says_what_a_registry_shows(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    for minor in (11, 12, 13, 14):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}\n" in text
    assert "License-Expression: Apache-2.0\n" in text
    assert "Requires-Python: >=3.11\n" in text


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["version"] == project["version"]
    assert cited["license"] == project["license"]


def test_an_unpacked_wheel_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "import nas; arch = nas.load_architecture('mobilenet_v2'); "
        "print(nas.__file__, nas.load_table('pixel1').predict(arch).ms)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    file, ms = done.stdout.split()
    assert file.startswith(str(tmp_path))
    assert float(ms) == pytest.approx(64.0, abs=0.1)
