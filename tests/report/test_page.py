"""The page: whatever is put into it is shown as it is, and nothing is fetched."""

import base64
from pathlib import Path

import pytest

from nas.core.errors import BadFile
from nas.report.page import Part, Picture, page


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
        "<td>&lt;i&gt;</td><td>1</td>",
    ):
        assert shown in made
    assert "<script" not in made


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
