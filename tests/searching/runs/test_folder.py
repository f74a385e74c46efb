"""Run folders: which may be resumed, and the names of their solutions."""

import csv
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from small_search import search, small

from nas.core.errors import BadFile, NasError, RunError, UnknownName
from nas.network.zoo import load_architecture
from nas.searching.config import read_config, write_config
from nas.searching.journal import open_journal
from nas.searching.loop import Run
from nas.searching.runs.folder import check_folder, find_architecture, to_csv
from nas.searching.setup import prepare

CONFIG = prepare(small(trials=400, strategy="random")).config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return search(CONFIG, out=tmp_path_factory.mktemp("runs") / "one")


def test_a_new_folder_gets_its_settings(tmp_path: Path) -> None:
    search(small(trials=400, strategy="random"), out=tmp_path / "a" / "b")
    found = read_config(tmp_path / "a" / "b" / "run.yaml")
    assert found == CONFIG
    assert found.objective == ("max:top1_proxy", "min:latency_ms")


def test_checking_a_folder_writes_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "new", CONFIG)
    assert not list(tmp_path.iterdir())
    write_config(CONFIG, tmp_path / "run.yaml")
    content = (tmp_path / "run.yaml").read_bytes()
    check_folder(tmp_path, replace(CONFIG, trials=500))
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
    assert (tmp_path / "run.yaml").read_bytes() == content


def test_settings_left_to_defaults_by_hand_are_filled_in(tmp_path: Path) -> None:
    by_hand = small(limit=("macs<=1G",), trials=20)
    write_config(by_hand, tmp_path / "run.yaml")
    with pytest.raises(RunError, match="its limit is macs<=1G, not none"):
        search(trials=20, out=tmp_path)
    search(by_hand, out=tmp_path)
    assert read_config(tmp_path / "run.yaml") == prepare(by_hand).config
    with pytest.raises(RunError, match="its latency_table is 'pixel1', not 'pixel1_2018'"):
        search(replace(by_hand, latency_table="pixel1_2018"), out=tmp_path)


def test_a_longer_search_is_the_same_run(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "run.yaml")
    longer = replace(CONFIG, trials=500, batch=7)
    check_folder(tmp_path, longer)
    search(longer, out=tmp_path)
    assert read_config(tmp_path / "run.yaml") == longer


def test_another_search_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "run.yaml")
    with pytest.raises(RunError, match="another search: its seed is 0, not 1; give another `out`"):
        search(replace(CONFIG, seed=1), out=tmp_path)
    assert read_config(tmp_path / "run.yaml") == CONFIG


def test_a_refused_second_writer_changes_no_settings(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "run.yaml")
    with (
        closing(open_journal(tmp_path / "journal.jsonl")),
        pytest.raises(RunError, match="another search is writing into this file"),
    ):
        search(replace(CONFIG, trials=900), out=tmp_path)
    assert read_config(tmp_path / "run.yaml") == CONFIG


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="is not empty and holds no run; give another `out`"):
        search(CONFIG, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("left", [".run-x7f3.yaml", "journal.jsonl"])
def test_a_folder_killed_before_its_settings_were_whole_starts_over(
    tmp_path: Path, left: str
) -> None:
    (tmp_path / left).touch()
    search(CONFIG, out=tmp_path)
    assert read_config(tmp_path / "run.yaml") == CONFIG


def test_a_damaged_run_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("schema: 1\ntrials: [")
    with pytest.raises(BadFile, match=r"run\.yaml, line \d"):
        search(CONFIG, out=tmp_path)


@pytest.mark.parametrize("place", ["/proc/run", "/dev/null/run", "/sys/run"])
def test_an_unwritable_folder_is_named(place: str) -> None:
    with pytest.raises(NasError, match=f"{place}.*: ") as caught:
        search(CONFIG, out=place)
    assert "\n" not in str(caught.value)


def test_a_finished_run_holds_its_front(run: Run) -> None:
    assert run.out is not None
    with (run.out / "pareto.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [solution.name for solution in run.solutions]
    assert run.best is not None
    assert [row["name"] for row in rows if row["best"] == "True"] == [run.best.name]
    assert {row["best"] for row in rows} == {"True", "False"}
    for row, solution in zip(rows, run.solutions, strict=True):
        assert float(row["latency_ms"]) == solution.latency.ms
        assert float(row["top1_proxy"]) == solution.accuracy
        assert row["stage1_kernel"] == str((solution.picks or {})["stage1_kernel"])
        arch = load_architecture(run.out / "archs" / f"{solution.name}.yaml")
        assert arch == solution.arch
        assert arch.fingerprint == row["fingerprint"]
    assert len(list((run.out / "archs").iterdir())) == len(rows)


def test_solutions_are_found_by_number_and_as_the_best(run: Run) -> None:
    assert run.best is not None
    assert run.best.accuracy == max(solution.accuracy for solution in run.solutions)
    assert find_architecture(f"{run.out}:best") == run.best.arch
    for name in ("3", "03", "003"):
        assert find_architecture(f"{run.out}:{name}") == run.solutions[2].arch
    assert find_architecture("efficientnet_b0").name == "efficientnet_b0"
    path = f"{run.out}/archs/001.yaml"
    assert find_architecture(path) == run.solutions[0].arch


@pytest.mark.parametrize("name", ["", "0", "999", "-1", "worst", "best ", "1.5", "../001"])
def test_a_solution_that_is_not_there_is_reported(run: Run, name: str) -> None:
    last = f"{len(run.solutions):03d}"
    with pytest.raises(UnknownName, match=f"has solutions 001 to {last} and best"):
        find_architecture(f"{run.out}:{name}")


def test_a_folder_alone_is_no_architecture(run: Run) -> None:
    with pytest.raises(UnknownName, match=r"is a run: name a solution, as in .*:best"):
        find_architecture(str(run.out))
    with pytest.raises(UnknownName, match=r"^there is no run folder r9$"):
        find_architecture("r9:best")


def test_a_run_without_a_front_says_so(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "run.yaml")
    with pytest.raises(RunError, match=f"no front yet; finish it: nas search --out {tmp_path}"):
        find_architecture(f"{tmp_path}:best")
    (tmp_path / "pareto.csv").write_text("\n")
    with pytest.raises(RunError, match="is empty: no trial satisfied the constraints"):
        find_architecture(f"{tmp_path}:best")


def test_a_damaged_front_is_named(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "run.yaml")
    for text in ("a,b\n1,2\n", "name\n001\n", "name,best\n001,False\n"):
        (tmp_path / "pareto.csv").write_text(text)
        with pytest.raises(RunError, match=r"pareto\.csv is damaged"):
            find_architecture(f"{tmp_path}:best")


def test_csv_puts_picks_last() -> None:
    rows = [{"name": "001", "picks": {"a": 1}}, {"name": "002", "picks": {"b": True}}]
    assert to_csv(rows) == "name,a,b\n001,1,\n002,,True\n"
