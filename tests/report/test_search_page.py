"""The page of a search shows the content of its folder, in whatever state that is."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small_search import search

from nas.core.errors import NasError
from nas.core.storage import Place
from nas.report.front import MAX_TRIALS, axes_of
from nas.report.page import Page, Part, contents, rendered
from nas.report.search_page import search_page
from nas.searching.loop import Run
from nas.searching.runs.measured import store_measured

EARLIER = Path(__file__).parents[1] / "data" / "earlier"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "first"
    return search(trials=300, strategy="random", limit="latency_ms<=140", out=out)


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """Return a copy of the run's folder, to damage."""
    return Path(shutil.copytree(str(run.out), tmp_path / "copy"))


def front_of(page: Page) -> Mapping[str, Any]:
    found = page.parts[0].front
    assert found is not None
    return found


def part(page: Page, heading: str) -> Part:
    return next(one for one in page.parts if one.heading == heading)


def test_the_front_in_the_page_is_that_of_the_csv(run: Run) -> None:
    front = front_of(search_page(Place(str(run.out))))
    rows = list(csv.DictReader((Path(str(run.out)) / "pareto.csv").read_text().splitlines()))
    assert front["front"]["name"] == [row["name"] for row in rows]
    for key in ("top1_proxy", "latency_ms", "latency_low_ms", "macs", "params"):
        assert front["front"][key] == [float(row[key]) for row in rows]
    for name, choice in front["choices"].items():
        texts = [choice["values"][code] for code in choice["codes"]]
        assert texts == [row[name] for row in rows]
    assert (front["x"], front["y"], front["first"]) == ("latency_ms", "top1_proxy", "largest")
    assert front["run"] == str(run.out)
    assert front["limits"] == [{"key": "latency_ms", "value": 140.0}]


def test_every_network_is_drawn_with_its_share_of_the_latency(run: Run) -> None:
    networks = front_of(search_page(Place(str(run.out))))["networks"]
    assert list(networks["nets"]) == [solution.name for solution in run.solutions]
    ms, macs = networks["fields"].index("ms"), networks["fields"].index("macs")
    for solution in run.solutions:
        names, units = networks["nets"][solution.name]
        found = [networks["units"][number] for number in units]
        parts = [unit.ms for unit in solution.latency.units]
        assert [unit[ms] for unit in found] == parts
        assert sum(unit[macs] for unit in found) == solution.macs
        assert networks["names"][names] == [unit.name for unit in solution.latency.units]


def test_networks_of_two_dtypes_have_the_shares_of_their_own_table(tmp_path: Path) -> None:
    found = search(
        space="mobilenetv3",
        latency_table="epyc_genoa_onnxruntime_1t_fp32_mobilenetv3",
        dtype="fp32,int8",
        evaluator="published",
        trials=200,
        out=tmp_path / "two",
    )
    page = search_page(Place(tmp_path / "two"))
    networks = front_of(page)["networks"]
    assert {solution.dtype for solution in found.solutions} == {"fp32", "int8"}
    for solution in found.solutions:
        units = networks["nets"][solution.name][1]
        shares = [networks["units"][unit][networks["fields"].index("ms")] for unit in units]
        assert shares == [unit.ms for unit in solution.latency.units]
    for dtype in ("fp32", "int8"):
        table = f"epyc_genoa_onnxruntime_1t_{dtype}_mobilenetv3"
        assert f"{table} ({dtype})" in networks["what"]
        said = part(page, "What the numbers rest on").points
        assert sum(table in text and text.endswith(f", {dtype}") for text in said) == 1


def test_known_networks_and_baseline_are_there(run: Run) -> None:
    front = front_of(search_page(Place(str(run.out))))
    assert front["baseline"] == "efficientnet_b0"
    assert set(front["known"]["name"]) <= {known.name for known in run.known}
    most = 1.5 * max(solution.latency.ms for solution in run.solutions)
    assert max(front["known"]["latency_ms"]) <= most
    place = front["known"]["name"].index("mnasnet_b1")
    assert front["known"]["origin"][place]


def test_hypervolume_ends_where_the_run_does(run: Run) -> None:
    page = search_page(Place(str(run.out)))
    (chart,) = part(page, "Progress").charts
    assert chart.traces[0]["x"][-1] == len(run.trials)
    assert chart.traces[0]["y"][-1] == pytest.approx(run.hypervolume, rel=1e-12)
    assert page.facts["hypervolume"] == f"{run.hypervolume:.6g}"


def test_what_was_measured_stands_against_the_prediction(run: Run, folder: Path) -> None:
    assert not part(search_page(Place(folder)), "Predicted against measured").charts
    first = run.solutions[0]
    row = {"name": first.name, "latency_ms": first.latency.ms, "measured_ms": 7.5, "notes": ["hm"]}
    store_measured(folder, [row])
    store_measured(folder, [row])
    (chart,) = part(search_page(Place(folder)), "Predicted against measured").charts
    assert chart.traces[-1]["text"] == [first.name]
    assert (chart.traces[-1]["x"], chart.traces[-1]["y"]) == ([7.5], [first.latency.ms])
    assert "hm" in chart.text
    front = front_of(search_page(Place(folder)))
    assert front["front"]["measured_ms"] == [7.5] + [None] * (len(run.solutions) - 1)
    assert "measured_ms" in [column["key"] for column in front["columns"]]


def test_a_killed_search_is_shown_from_its_journal(run: Run, folder: Path) -> None:
    for name in ("pareto.csv", "result.json", "env.json", "heartbeat.json"):
        (folder / name).unlink()
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"tell": 30')
    page = search_page(Place(folder))
    front = front_of(page)
    assert front["front"]["trial"] == [solution.trial for solution in run.solutions]
    lows = [round(solution.latency.low_ms, 6) for solution in run.solutions]
    assert [round(low, 6) for low in front["front"]["latency_low_ms"]] == lows
    assert front["run"] is None  # nas show could not find them
    assert any("from the journal" in text for text in part(page, "What the numbers rest on").points)


def test_a_front_of_fewer_trials_is_left_aside(run: Run, folder: Path) -> None:
    text = (folder / "result.json").read_text().replace('"trials": 300', '"trials": 200')
    (folder / "result.json").write_text(text)
    assert front_of(search_page(Place(folder)))["run"] is None


@pytest.mark.parametrize("name", ["env.json", "result.json", "measured.json", "heartbeat.json"])
def test_a_damaged_file_costs_only_what_it_says(folder: Path, name: str) -> None:
    (folder / name).write_text('{"schema": 1, "netw')
    page = search_page(Place(folder))
    assert front_of(page)["front"]["name"]
    assert any(
        text.startswith("left aside: ") and name in text
        for text in part(page, "What the numbers rest on").points
    )


def test_a_damaged_front_is_worked_out_again(run: Run, folder: Path) -> None:
    text = (folder / "pareto.csv").read_text()
    ms = str(run.solutions[0].latency.ms)
    (folder / "pareto.csv").write_text(text.replace(ms, "fast", 1))
    front = front_of(search_page(Place(folder)))
    assert front["run"] is None
    assert front["front"]["latency_ms"][0] == run.solutions[0].latency.ms


def test_a_search_without_trials_says_so(folder: Path) -> None:
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text(lines[0])
    for name in ("pareto.csv", "result.json"):
        (folder / name).unlink()
    page = search_page(Place(folder))
    assert page.parts[0].texts == ("No trial is finished yet.",)
    assert rendered(page)


def test_a_search_killed_before_its_journal_began_says_so(run: Run, tmp_path: Path) -> None:
    shutil.copy(Path(str(run.out)) / "run.yaml", tmp_path)
    assert search_page(Place(tmp_path)).parts[0].texts == ("No trial is finished yet.",)
    (tmp_path / "journal.jsonl").touch()
    assert search_page(Place(tmp_path)).parts[0].texts == ("No trial is finished yet.",)


def test_a_table_that_is_gone_costs_the_latencies_alone(folder: Path) -> None:
    text = (folder / "run.yaml").read_text().replace("latency_table: pixel1", "latency_table: gone")
    (folder / "run.yaml").write_text(text)
    page = search_page(Place(folder))
    assert front_of(page)["networks"]["by"] == "macs"
    assert any("for want of the table" in t for t in part(page, "What the numbers rest on").points)


def test_what_is_no_search_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="is not a run folder"):
        search_page(Place(tmp_path))


def test_earlier_runs_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    page = search_page(Place(EARLIER / "search_mbconv"))
    rows = list(csv.DictReader((EARLIER / "search_mbconv" / "pareto.csv").read_text().splitlines()))
    assert front_of(page)["front"]["name"] == [row["name"] for row in rows]
    assert front_of(page)["known"] is None


@pytest.mark.parametrize(
    ("objectives", "axes"),
    [
        ([], ("latency_ms", "top1")),
        (["top1_lcb", "latency_ms"], ("latency_ms", "top1")),
        (["top1", "macs"], ("macs", "top1")),
        (["macs", "params"], ("params", "macs")),
        (["params", "latency_ms"], ("latency_ms", "params")),
        (["reward"], ("latency_ms", "reward")),
        (["latency_ms"], ("latency_ms", "top1")),
        (["top1", "size_mb", "latency_ms"], ("latency_ms", "top1")),
    ],
)
def test_the_axes_are_the_objectives(objectives: list[str], axes: tuple[str, str]) -> None:
    assert axes_of(objectives, "top1") == axes


def test_names_are_texts_and_paths_are_words_of_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "a b<script>"
    search(trials=40, strategy="random", out=out)
    page = search_page(Place(out))
    assert front_of(page)["run"] == f"'{out}'"
    inside, _ = contents(page)
    assert "<script" not in inside
    assert "&lt;script&gt;" in inside


@pytest.mark.slow
def test_ten_thousand_members_stay_small(tmp_path: Path) -> None:
    objectives = ("max:top1_proxy", "min:latency_ms", "min:macs", "min:params", "max:activations")
    run = search(trials=10_000, strategy="random", objective=objectives, out=tmp_path / "run")
    assert len(run.solutions) > 1000
    page = search_page(Place(tmp_path / "run"))
    front = front_of(page)
    assert len(front["front"]["name"]) == len(run.solutions)
    assert len(front["trials"]["latency_ms"]) == MAX_TRIALS
    assert len(rendered(page).encode()) < 5e6
    assert "take too long" in part(page, "Progress").texts[0]
