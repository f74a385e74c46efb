"""Finished trials of run folders: which of them count, and which runs do not mix."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.core import data
from nas.core.errors import NasError, RunError
from nas.core.files import write_text
from nas.searching.journal import ask_record, open_journal, tell_record
from nas.searching.problem import FAILED, INFEASIBLE, OK, STATUS_TYPE, STOPPED, Trials
from nas.searching.runs.examples import read_examples
from nas.space.space import Matrix, Space

Run = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, tiny: Space) -> Run:
    """Return a function that writes a run folder with one batch of trials."""

    def write(name: str, picks: Matrix, top1: np.ndarray, **changed: object) -> Path:
        space = Path(__file__).parents[2] / "data" / "tiny.yaml"
        settings = {"schema": 1, "space": str(changed.pop("space", space))}
        write_text(tmp_path / name / "run.yaml", data.to_yaml(settings))
        status = np.array(changed.pop("status", [OK] * len(picks)), dtype=STATUS_TYPE)
        metric = str(changed.pop("metric", "top1"))
        header = {
            "schema": 1,
            "space": "tiny",
            "choices": tiny.fingerprint,
            "evaluators": ["costs", "table:a", "training:digits"],
        }
        trials = Trials(
            first=0, picks=picks, metrics={"macs": top1 * 1e6, metric: top1}, status=status
        )
        journal = open_journal(tmp_path / name / "journal.jsonl")
        journal.append({**header, **changed})
        journal.append(ask_record(0, len(picks), picks))
        journal.append(tell_record(trials))
        journal.close()
        return tmp_path / name

    return write


def values_of(rows: Matrix) -> np.ndarray:
    return 0.5 + rows.sum(axis=1) / 100


def test_the_trials_of_several_runs_come_together(run: Run, all_rows: Matrix) -> None:
    one = run("one", all_rows[:30], values_of(all_rows[:30]))
    other = run("other", all_rows[30:50], values_of(all_rows[30:50]))
    found = read_examples([one, other, one])
    assert np.array_equal(found.picks, all_rows[:50])
    assert found.accuracy == pytest.approx(values_of(all_rows[:50]))
    assert found.metric == "top1"
    assert found.space.name == "tiny"
    assert found.source == "50 trials of 2 runs by training:digits"


def test_only_what_was_measured_in_full_counts(run: Run, all_rows: Matrix) -> None:
    rows = all_rows[:40]
    status = [OK] * 25 + [STOPPED] * 5 + [FAILED] * 5 + [INFEASIBLE] * 5
    values = np.where(np.arange(40) < 25, values_of(rows), 1.2)
    values[35:] = np.nan
    found = read_examples([run("one", rows, values, status=status)])
    assert np.array_equal(found.picks, rows[:25])
    assert found.accuracy.max() < 1


def test_repeated_measurements_are_averaged(run: Run, all_rows: Matrix) -> None:
    rows = all_rows[:30]
    one, other = (run(n, rows, values_of(rows) + d) for n, d in (("a", 0.01), ("b", 0.03)))
    assert read_examples([one, other]).accuracy == pytest.approx(values_of(rows) + 0.02)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"evaluators": ["costs", "table:a", "training:cifar"]}, "their evaluator is"),
        ({"metric": "top1_proxy"}, "their metric is 'top1' and 'top1_proxy'; fit a model to each"),
        ({"choices": "0" * 16}, "searched another version of space"),
        ({"evaluators": []}, "journal.jsonl, line 1: no header of a search"),
        ({"space": "nowhere"}, "unknown search space 'nowhere'"),
    ],
)
def test_runs_that_measured_something_else_do_not_mix(
    run: Run, all_rows: Matrix, changed: dict[str, object], message: str
) -> None:
    one = run("one", all_rows[:30], values_of(all_rows[:30]))
    other = run("other", all_rows[30:60], values_of(all_rows[30:60]), **changed)
    with pytest.raises(NasError, match=message) as caught:
        read_examples([one, other])
    assert "\n" not in str(caught.value)


def test_another_table_is_no_other_accuracy(run: Run, all_rows: Matrix) -> None:
    one = run("one", all_rows[:30], values_of(all_rows[:30]))
    judges = ["costs", "table:another", "training:digits"]
    other = run("b", all_rows[30:60], values_of(all_rows[30:60]), evaluators=judges)
    assert len(read_examples([one, other])) == 60


def test_too_few_trials_and_no_accuracy_are_reported(run: Run, all_rows: Matrix) -> None:
    rows = all_rows[:19]
    with pytest.raises(NasError, match=r"19 different architectures .* at least 20 are needed"):
        read_examples([run("few", rows, values_of(rows))])
    with pytest.raises(RunError, match="has no top1 or top1_proxy; its trials have macs, speed"):
        read_examples([run("none", rows, values_of(rows), metric="speed")])


def test_what_is_no_run_is_reported(tmp_path: Path, run: Run, all_rows: Matrix) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no run.yaml"):
        read_examples([tmp_path])
    whole = run("one", all_rows[:30], values_of(all_rows[:30]))
    (whole / "journal.jsonl").unlink()
    with pytest.raises(RunError, match="no header of a search"):
        read_examples([whole])


def test_a_run_that_just_began_has_too_few(run: Run, all_rows: Matrix) -> None:
    whole = run("one", all_rows[:30], values_of(all_rows[:30]))
    journal = whole / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    with pytest.raises(NasError, match="has no top1 or top1_proxy; its trials have no metrics"):
        read_examples([whole])
