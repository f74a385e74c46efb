"""A stored run: everything in its folder, read without touching it."""

from pathlib import Path

import numpy as np
import pytest
from small_search import search

from nas.core.errors import RunError
from nas.searching.runs.stored import read_run


def test_trials_are_read_without_touching_the_run(tmp_path: Path) -> None:
    run = search(trials=30, strategy="random", out=tmp_path)
    journal = tmp_path / "journal.jsonl"
    content = journal.read_bytes() + b'{"ask":30,'
    journal.write_bytes(content)
    found = read_run(tmp_path)
    assert (found.config, found.space.name) == (run.setup.config, run.setup.space.name)
    assert found.objectives == run.setup.problem.objectives
    assert np.array_equal(found.trials.picks, run.trials.picks)
    assert found.trials.metrics["top1_proxy"].tolist() == run.trials.metrics["top1_proxy"].tolist()
    assert found.waiting == 0
    assert journal.read_bytes() == content
    journal.unlink()
    with pytest.raises(RunError, match=r"journal\.jsonl: No such file"):
        read_run(tmp_path)
