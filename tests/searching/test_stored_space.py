"""A run stores its space, since the meaning of a name or the user's file may change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_search import search, small

from nas.core.errors import RunError
from nas.searching.loop import Run
from nas.searching.runs.stored import read_run
from nas.searching.stored_space import SPACE, named_space, space_of
from nas.space.file import load_space

TINY = Path(__file__).parents[1] / "data" / "tiny.yaml"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A search of a user's own space, in the folder `run`."""
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(TINY.read_text(encoding="utf-8"), encoding="utf-8")
    return _search_own(20)


def _search_own(trials: int) -> Run:
    settings = small(
        space="my.yaml", evaluator="published", strategy="random", trials=trials,
        allow_extrapolation=True,
    )  # fmt: skip
    return search(settings, out=Path("run"))


def _change() -> None:
    text = Path("my.yaml").read_text(encoding="utf-8")
    assert "kernel: [3, 5]" in text
    Path("my.yaml").write_text(text.replace("kernel: [3, 5]", "kernel: [5, 3]"), encoding="utf-8")


def test_a_run_is_read_in_its_own_space_whatever_became_of_the_file(own: Run) -> None:
    before = load_space("my.yaml")
    _change()
    found = read_run(Path("run"))
    assert found.space == before
    assert np.array_equal(found.trials.picks, own.trials.picks)
    Path("my.yaml").unlink()
    assert read_run(Path("run")).space == before


def test_a_changed_file_is_another_search_and_leaves_the_run_as_it_was(own: Run) -> None:
    before = Path("run/run.yaml").read_bytes()
    _change()
    with pytest.raises(RunError, match="is the run of another search: its choices"):
        _search_own(30)
    assert Path("run/run.yaml").read_bytes() == before


def test_a_search_is_resumed_without_the_file(own: Run) -> None:
    Path("my.yaml").unlink()
    assert _search_own(30).new == 10


def test_a_folder_of_the_name_of_a_space_is_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mnasnet_b0").mkdir()
    run = search(trials=10, strategy="random", out=Path("run"))
    assert read_run(Path("run")).space == run.setup.space
    assert (Path("run") / SPACE).is_file()


def test_a_name_that_means_another_space_now_is_recognised_by_the_choices() -> None:
    old = load_space("mnasnet_b0")
    assert named_space("mbconv", old.fingerprint) == old
    new = load_space("mbconv")
    assert named_space("mbconv", new.fingerprint) == new
    assert named_space("mbconv", None) == new
    assert named_space("mbconv", "of nobody") == new
    assert space_of("mbconv", None) == new
    assert replace(old, name="x").fingerprint == old.fingerprint
