"""The page: any content is shown literally, and nothing is fetched."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import BadFile
from nas.report.page import Chart, Part, Picture, page


def test_texts_are_shown_and_never_markup() -> None:
    made = page(
        "a < b",
        [Part(heading="<h>", texts=("<script>",), points=("x & y",), code="{a: <b>}"),
         Part(heading="rows", headings=("name", "ms"), rows=(("<i>", "1"),))],
    )  # fmt: skip
    for shown in (
        "<h1>a &lt; b</h1>",
        "&lt;script&gt;",
        "x &amp; y",
        '<td class="text">&lt;i&gt;</td><td>1</td>',
    ):
        assert shown in made
    assert "<script>\n" not in made
    assert "<i>" not in _without_scripts(made)


def _without_scripts(made: str) -> str:
    return re.sub(r"<script>.*?</script>", "", made, flags=re.DOTALL)


def test_texts_in_data_never_end_their_script() -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    chart = Chart(traces=({"name": hostile, "x": [1], "hovertemplate": "<b>%{x}</b>"},))
    made = _without_scripts(page("t", [Part(heading="h", charts=(chart,))]))
    assert made.count("</script>") == 1
    assert "<img" not in made
    (data,) = re.findall(r'id="data">(.*?)</script>', made)
    trace = json.loads(data)["charts"]["part0-0"]["traces"][0]
    assert trace["name"] == "&lt;/script>&lt;img src=x onerror=alert(1)>"
    assert trace["hovertemplate"] == "<b>%{x}</b>"


def test_only_the_scripts_of_the_page_may_run_and_nothing_is_fetched() -> None:
    made = page("t", [Part(heading="h", headings=("a",), rows=(("1",),))])
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', made)
    scripts = re.findall(r"<script>(.*?)</script>", made, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert [f"'sha256-{digest}'" in policy for digest in digests] == [True, True]
    assert "connect-src" not in policy
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", _without_scripts(made))
    assert "http" not in _without_scripts(made).replace("http-equiv", "")


def test_a_page_of_texts_alone_needs_no_script() -> None:
    made = page("t", [Part(heading="h", texts=("a",))])
    assert "<script" not in made
    assert "script-src 'none'" in made


def test_pictures_are_inside(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG of all")
    picture = Picture(path=tmp_path / "a.png", text='says "all"')
    made = page("t", [Part(heading="h", pictures=(picture,))])
    assert base64.b64encode(b"\x89PNG of all").decode() in made
    assert 'alt="says &quot;all&quot;"' in made
    assert str(tmp_path) not in made
    with pytest.raises(BadFile, match=r"gone.png: No such file"):
        page("t", [Part(heading="h", pictures=(Picture(path=tmp_path / "gone.png", text=""),))])


def test_parts_without_content_are_left_out() -> None:
    assert "<h2>" not in page("t", [Part(heading="nothing")])


def test_large_pictures_are_made_smaller(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 256, (400, 2000, 3), dtype=np.uint8)
    image.fromarray(noise).save(tmp_path / "a.png")
    made = page("t", [Part(heading="h", pictures=(Picture(path=tmp_path / "a.png", text="x"),))])
    assert "data:image/jpeg;base64," in made
    assert len(made) < (tmp_path / "a.png").stat().st_size / 2
    (tmp_path / "a.png").write_bytes(b"no picture" * 100_000)
    made = page("t", [Part(heading="h", pictures=(Picture(path=tmp_path / "a.png", text="x"),))])
    assert "data:image/png;base64," in made
