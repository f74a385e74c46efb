"""The notebooks of examples/ run from their first cell to the last."""

import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

EXAMPLES = Path(__file__).parents[1] / "examples"
SLOW = ("train_prune_export",)
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def marked(path: Path) -> list[pytest.MarkDecorator]:
    return [pytest.mark.torch, *([pytest.mark.slow] if path.stem in SLOW else [])]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem, marks=marked(p)) for p in NOTEBOOKS])
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([scripts, os.environ["PATH"]]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert cells[-1].outputs


def test_there_are_notebooks() -> None:
    assert {"search", "train_prune_export"} <= {path.stem for path in NOTEBOOKS}
