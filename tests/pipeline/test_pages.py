"""Pages of every kind of folder and of tables, and the server that follows one."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from small_search import search

from nas.core.errors import NasError
from nas.pipeline.pages import page_file, page_of
from nas.pipeline.serve import server
from nas.report.evaluations import store_evaluation
from nas.report.page import Page, Part, contents, rendered

EARLIER = Path(__file__).parents[1] / "data" / "earlier"


def part(page: Page, heading: str) -> Part:
    return next(one for one in page.parts if one.heading == heading)


@pytest.fixture
def training(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLIER / "training", tmp_path / "training"))


def test_a_training_has_its_curves_and_its_network(training: Path) -> None:
    page = page_of(str(training))
    assert page.facts["epochs"] == "1 of 2"
    assert page.facts["state"] == "unfinished"
    losses, scores, rate = part(page, "Curves").charts
    assert [trace["name"] for trace in losses.traces] == ["training", "validation"]
    assert scores.traces[0]["y"] == [pytest.approx(15.041782729805014)]
    assert rate.traces[0]["x"] == [1]
    networks = part(page, "The network").networks
    assert networks is not None
    assert (networks["by"], list(networks["nets"])) == ("macs", ["001"])


def test_a_supernet_has_its_curves(training: Path) -> None:
    (training / "train.yaml").rename(training / "supernet.yaml")
    page = page_of(str(training))
    assert page.title.startswith("Supernet: ")
    assert (page.facts["epochs"], len(part(page, "Curves").charts)) == ("1 of 2", 3)
    assert part(page, "Settings").code.startswith("schema: 1")


def test_a_training_that_has_just_begun_has_a_page(training: Path) -> None:
    (training / "metrics.jsonl").unlink()
    page = page_of(str(training))
    assert part(page, "Curves").texts == ("No epoch is done yet.",)
    (training / "metrics.jsonl").write_text('{"schema":1}\n{"epoch":1,"lr"')  # killed while writing
    assert page_of(str(training)).facts["epochs"] == "0 of 2"
    (training / "metrics.jsonl").write_text('{"schema":1}\n{"epoch":1,"lr":1,"top1":"<b>"}\n')
    with pytest.raises(NasError, match=r"metrics\.jsonl is damaged"):
        page_of(str(training))


def test_what_an_evaluation_found_is_in_the_page(training: Path) -> None:
    classes = [{"name": name, "images": 2, "top1": 0.5} for name in ("cat", "<b>dog")]
    document = {"schema": 1, "data": "d", "split": "val", "top1": 0.5, "loss": 1.0, "images": 4,
                "classes": classes, "confusion": [[1, 1], [0, 2]]}  # fmt: skip
    store_evaluation(training, document)
    found = part(page_of(str(training)), "Class by class, on the validation images")
    assert found.headings[:2] == ("class", "images")
    assert found.rows[0] == ("cat", "2", "50.0", "<b>dog", "1", "1", "1")
    inside, _ = contents(page_of(str(training)))
    assert "<b>" not in inside
    (training / "eval-val.json").write_text('{"schema": 1}')
    (line,) = part(page_of(str(training)), "Class by class").texts
    assert "eval-val.json is damaged" in line


def test_detectors_have_precisions_and_a_picture(training: Path) -> None:
    classes = [{"name": "car", "objects": 3, "map": 0.25, "map50": None}]
    store_evaluation(
        training,
        {"schema": 1, "data": "d", "split": "test", "map": 0.25, "map50": 0.5, "loss": 1.0,
         "images": 2, "classes": classes},
    )  # fmt: skip
    (training / "predictions.png").write_bytes(b"\x89PNG boxes")
    page = page_of(str(training))
    assert part(page, "Class by class, on the test images").rows == (("car", "3", "25.0", ""),)
    assert rendered(page).count("data:image/png;base64,") == 1


def test_a_pruning_has_its_rounds_finished_or_not(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EARLIER / "netadapt", tmp_path / "netadapt"))
    done = page_of(str(folder))
    assert [row[0] for row in part(done, "Rounds").rows] == ["start", "1", "2", "end"]
    assert part(done, "Rounds").rows[1][1] == "stages.1.0.out: 16 to 8"
    (folder / "result.json").unlink()
    going = page_of(str(folder))
    assert going.facts["state"] == "unfinished"
    assert [row[:3] for row in part(going, "Rounds").rows] == [
        row[:3] for row in part(done, "Rounds").rows[:3]
    ]
    (folder / "journal.jsonl").write_text('{"schema":1}\n{"round":1,"chosen":"gone"}\n')
    with pytest.raises(NasError, match=r"journal\.jsonl is damaged"):
        page_of(str(folder))


def test_a_table_has_units_noise_and_origin(tmp_path: Path) -> None:
    shutil.copy(EARLIER / "table.yaml", tmp_path / "table.yaml")
    page = page_of(str(tmp_path / "table.yaml"))
    units = part(page, "Units")
    assert units.charts[0].traces[0]["text"] == [row[0] for row in units.rows]
    assert page_file(str(tmp_path / "table.yaml")) == tmp_path / "table.html"
    assert page_of("pixel1").facts["device"].startswith("Google Pixel 1")
    assert page_file("pixel1") == Path("pixel1.html")


def test_an_int8_folder_has_both_graphs_and_the_layers(tmp_path: Path) -> None:
    sides: dict[str, Any] = {"float": {"top1": 0.9, "latency_ms": 2.0},
                             "int8": {"top1": 0.89, "latency_ms": 1.0}}  # fmt: skip
    found = {"schema": 1, "metric": "top1", **sides, "calibration": "mse", "images": 8,
             "floats": ["b"], "noise": {"a": 0.1, "b": 0.3}}  # fmt: skip
    (tmp_path / "quantization.json").write_text(json.dumps(found))
    page = page_of(str(tmp_path))
    assert part(page, "Float against int8").rows[2] == ("change", "-1.00", "-50 %")
    (chart,) = part(page, "Sensitivity, layer by layer").charts
    assert chart.traces[0]["y"] == ["b", "a"]
    assert len(set(chart.traces[0]["marker"]["color"])) == 2
    (tmp_path / "quantization.json").write_text('{"schema": 1}')
    with pytest.raises(NasError, match="is damaged"):
        page_of(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "gone: No such file or directory; give a run folder or a latency table"),
        (
            "empty",
            "empty is no folder of nas search, train, supernet train, netadapt, scale search, ",
        ),
        ("gone.yaml", "gone.yaml"),
        ("page.html", "page.html is no latency table, which is a .yaml or .json file, and no"),
    ],
)
def test_what_has_no_page_is_reported_in_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("page.html").touch()
    with pytest.raises(NasError) as caught:
        page_of(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    out = tmp_path / "run"
    search(trials=40, strategy="random", out=out)
    with server(str(out), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield out, int(serving.server_address[1])
        serving.shutdown()
        thread.join()


def _get(port: int, path: str, host: str = "") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text


def test_the_server_gives_the_page_and_then_what_changed(served: tuple[Path, int]) -> None:
    out, port = served
    status, html = _get(port, "/")
    assert status == 200
    assert "connect-src 'self'" in html
    data = json.loads(html.split('id="data">')[1].split("</script>")[0])
    assert _get(port, f"/data.json?after={data['live']}") == (204, "")
    search(trials=60, strategy="random", out=out)
    status, text = _get(port, f"/data.json?after={data['live']}")
    assert status == 200
    found = json.loads(text)
    assert "60 of 60" in found["html"]
    assert found["stamp"] != data["live"]
    (out / "journal.jsonl").unlink()  # as if the folder were being replaced
    assert _get(port, f"/data.json?after={found['stamp']}") == (204, "")


def test_the_server_answers_this_machine_alone(served: tuple[Path, int]) -> None:
    _, port = served
    assert _get(port, "/", host="evil.example")[0] == 403
    assert _get(port, "/run.yaml")[0] == 404
    with pytest.raises(NasError, match=rf"port {port} of 127.0.0.1 cannot be served: Address"):
        server(str(served[0]), port)
