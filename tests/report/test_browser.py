"""The pages in a real browser: nothing is fetched, and all controls work.

They need Chromium, its driver and selenium, and are skipped where one is missing.
"""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_search import search

from nas.core.storage import Place
from nas.pipeline.serve import server
from nas.report.page import rendered
from nas.report.search_page import search_page
from nas.searching.loop import Run

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium, or no chromedriver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of selenium's own pipes
]
SECONDS = 15


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,1400"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.implicitly_wait(SECONDS)
        yield driver


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    return search(trials=300, strategy="random", limit="latency_ms<=140", out=out)


@pytest.fixture
def opened(browser: Any, run: Run, tmp_path: Path) -> Any:
    """Return the browser with the page of the run, opened from a file."""
    path = tmp_path / "report.html"
    path.write_text(rendered(search_page(Place(str(run.out)))), encoding="utf-8")
    _logs(browser)
    browser.get(path.as_uri())
    browser.find_element("css selector", "#front-table tbody tr")
    return browser


def _logs(browser: Any) -> str:
    """Return the network requests since the last call, and the errors of the page."""
    asked = [entry["message"] for entry in browser.get_log("performance")]
    wanted = [text for text in asked if "requestWillBeSent" in text and '"url":"http' in text]
    said = [entry["message"] for entry in browser.get_log("browser")]
    return "\n".join([*wanted, *said])


def _names(browser: Any) -> list[str]:
    cells = browser.find_elements("css selector", "#front-table tbody tr.link td:first-child")
    return [cell.text for cell in cells]


def _data(browser: Any) -> Any:
    """Return the names and points of the front as they are drawn."""
    return browser.execute_script(
        "const trace = document.querySelector('[data-front] .chart').data"
        ".find((one) => one.customdata); return {x: trace.x, y: trace.y, names: trace.customdata};"
    )


def test_the_front_is_drawn_and_nothing_is_fetched(opened: Any, run: Run) -> None:
    drawn = _data(opened)
    assert drawn["names"] == [solution.name for solution in run.solutions]
    assert drawn["x"] == [solution.latency.ms for solution in run.solutions]
    assert drawn["y"] == pytest.approx([100 * (s.accuracy or 0.0) for s in run.solutions])
    assert _logs(opened) == ""


def test_hovering_says_everything(opened: Any, run: Run) -> None:
    place = opened.execute_script(
        "const chart = document.querySelector('[data-front] .chart');"
        "chart.scrollIntoView({block: 'center'});"
        "const box = chart.querySelector('.scatterlayer .trace:nth-child(2) .points path')"
        ".getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2];"
    )
    opened.execute_cdp_cmd(
        "Input.dispatchMouseEvent", {"type": "mouseMoved", "x": place[0], "y": place[1]}
    )
    text = opened.find_element("css selector", ".hoverlayer .hovertext").text
    for word in ("top1_proxy %", "latency ms", "MACs M", "params M", "network "):
        assert word in text
    assert any(solution.arch.fingerprint in text for solution in run.solutions)


def test_headings_sort_and_rows_choose(opened: Any) -> None:
    heads = opened.find_elements("css selector", "#front-table th button")
    assert _names(opened)[0] == opened.execute_script(
        "return data.fronts.part0.front.name.slice(-1)[0]"
    )
    next(head for head in heads if head.text.startswith("latency")).click()
    assert _names(opened) == sorted(_names(opened))
    row = opened.find_elements("css selector", "#front-table tbody tr.link")[1]
    row.click()
    assert opened.find_element("css selector", "#chosen h3").text == "Network 002"
    assert opened.find_elements("css selector", "#chosen .strip div")
    shown = opened.find_element("css selector", "#chosen .commands").text
    assert "nas show" in shown
    assert ":2 --format onnx" in shown


def test_axes_can_be_chosen(opened: Any, run: Run) -> None:
    axis = opened.find_element("id", "axis-x")
    axis.find_element("css selector", "option[value=macs]").click()
    assert sorted(_data(opened)["x"]) == pytest.approx(
        sorted(solution.macs / 1e6 for solution in run.solutions)
    )


def test_it_is_dark_where_the_system_is_and_fits_a_telephone(opened: Any) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert opened.execute_script(ground) == "rgb(255, 255, 255)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert opened.execute_script(ground) == "rgb(20, 24, 30)"
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    small = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
    width = opened.execute_script("return document.documentElement.scrollWidth")
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390


def test_it_is_printed(opened: Any) -> None:
    printed = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 50_000


def test_a_served_page_follows_the_search(browser: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    search(trials=40, strategy="random", out=out)
    with server(str(out), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        browser.get(f"http://127.0.0.1:{serving.server_address[1]}/")
        browser.find_element("xpath", "//dd[text()='40 of 40']")
        browser.find_element("id", "axis-x").find_element(
            "css selector", "option[value=macs]"
        ).click()
        search(trials=80, strategy="random", out=out)
        browser.find_element("xpath", "//dd[text()='80 of 80']")
        browser.find_element("css selector", "#front-table tbody tr")
        assert browser.find_element("id", "axis-x").get_attribute("value") == "macs"
        serving.shutdown()
        thread.join()
