"""One self-contained HTML page of texts, tables, pictures, charts and networks.

Nothing is fetched: the scripts stand in the page, and its policy allows no others. Whoever has no
scripts sees the texts and tables.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from nas.core import strict_json
from nas.core.errors import BadFile
from nas.core.text import safe
from nas.report.compression import compressed

_SCRIPTS = ("page.js", "network.js", "front.js", "start.js")
_PLOTLY, _STYLE = "plotly-basic.min.js", "page.css"
_LONGEST_LINE = 10_000
_LONG_CELL, _MANY_ROWS = 40, 100
_MAX_PICTURE = 500_000
Data = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG file that goes into the page, and what it shows."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart as plotly's traces and layout, the height in pixels, and what it shows.

    Texts in it are shown as they are, but for `hovertemplate`, which is markup: it must not hold
    anything that was read.
    """

    traces: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    height: int = 380


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a page: a heading, and below it what is given, in this order.

    `points` become a list, `rows` a table under `headings` that a click sorts, `code` is shown as
    it is. `front` is what `nas.report.front.front_data` returns, `network` the name of one of the
    `networks` that `nas.report.network_data.network_data` returns.
    """

    heading: str
    texts: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    front: Mapping[str, Any] | None = None
    charts: tuple[Chart, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    networks: Mapping[str, Any] | None = None
    network: str = ""
    pictures: tuple[Picture, ...] = ()
    code: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing below the heading."""
        shown = (self.texts, self.points, self.front, self.charts, self.rows, self.networks)
        return not (any(shown) or self.pictures or self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: its title, a few facts to begin with by their names, and its parts."""

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()


def page(title: str, parts: Sequence[Part], *, facts: Mapping[str, str] | None = None) -> str:
    """Return the page with all parts that are not empty.

    Raises:
        BadFile: if a picture cannot be read.
    """
    return rendered(Page(title=title, facts=facts or {}, parts=tuple(parts)))


def rendered(made: Page, *, live: str = "") -> str:
    """Return a page as HTML; with `live`, its stamp, it asks its server for changes.

    Raises:
        BadFile: if a picture cannot be read.
    """
    inside, data = contents(made)
    scripts = _scripts() if live or any(data.values()) or "<table" in inside else ()
    said = _json({**data, "live": live})
    status = '<p id="live" class="dim">live</p>\n' if live else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, live)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(made.title)}</title>\n<style>\n{_asset(_STYLE)}</style>\n</head>\n<body>\n"
        f'{status}<div id="page">\n{inside}\n</div>\n'
        + (f'<script type="application/json" id="data">{said}</script>\n' if scripts else "")
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


def contents(made: Page) -> tuple[str, Data]:
    """Return what changes of a page: its HTML, and the data of charts, fronts and networks.

    Raises:
        BadFile: if a picture cannot be read.
    """
    parts = [part for part in made.parts if not part.is_empty]
    data: Data = {"charts": {}, "fronts": {}, "networks": {}}
    sections = [_section(part, f"part{i}", data) for i, part in enumerate(parts)]
    links = "".join(f'<a href="#part{i}">{_text(part.heading)}</a>' for i, part in enumerate(parts))
    facts = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
        for name, value in made.facts.items()
    )
    pieces = [
        f"<h1>{_text(made.title)}</h1>",
        f'<dl class="facts">{facts}</dl>' if facts else "",
        f"<nav>{links}</nav>" if len(parts) > 2 else "",
        *sections,
    ]
    return "\n".join(piece for piece in pieces if piece), data


@cache
def _asset(name: str) -> str:
    return files("nas.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _scripts() -> tuple[str, ...]:
    """Return the scripts: plotly, and what fills the page."""
    return _asset(_PLOTLY), "\n".join(map(_asset, _SCRIPTS))


def _policy(scripts: Sequence[str], live: str) -> str:
    """Return a policy under which only `scripts` run and nothing is fetched, but a live page."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests) or "'none'"
    server = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        f"img-src data: blob:{server}"
    )


def _json(content: Any) -> str:
    """Return plain data for a script element, which ends at no text in it."""
    text = strict_json.dumps(content)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(text: str) -> str:
    """Return a text as HTML shows it, without control characters or the passwords of URLs."""
    return escape(safe(text, _LONGEST_LINE))


def _section(part: Part, name: str, data: Data) -> str:
    points = "".join(f"<li>{_text(text)}</li>" for text in part.points)
    pieces = [
        f"<h2>{_text(part.heading)}</h2>",
        *(f"<p>{_text(text)}</p>" for text in part.texts),
        f"<ul>{points}</ul>" if points else "",
        _front(part, name, data) if part.front else "",
        *(_chart(chart, f"{name}-{i}", data) for i, chart in enumerate(part.charts)),
        _table(part) if part.rows else "",
        _network(part, name, data) if part.networks else "",
        *(_picture(picture) for picture in part.pictures),
        f"<pre>{_text(part.code)}</pre>" if part.code else "",
    ]
    return f'<section id="{name}">\n' + "\n".join(filter(None, pieces)) + "\n</section>"


def _front(part: Part, name: str, data: Data) -> str:
    data["fronts"][name] = part.front
    without = "The front is drawn and listed by a script, which does not run here."
    return f'<div data-front="{name}"><noscript>{without}</noscript></div>'


def _network(part: Part, name: str, data: Data) -> str:
    data["networks"][name] = {"networks": part.networks, "name": part.network}
    return f'<div data-network="{name}"></div>'


def _chart(chart: Chart, name: str, data: Data) -> str:
    data["charts"][name] = {
        "traces": [_plain(trace) for trace in chart.traces],
        "layout": _plain(chart.layout),
        "height": chart.height,
    }
    caption = f"<figcaption>{_text(chart.text)}</figcaption>" if chart.text else ""
    return f'<figure><div class="chart" data-chart="{name}"></div>{caption}</figure>'


def _plain(value: Any) -> Any:
    """Return the parts of a chart with all texts as plotly shows them, without markup."""
    match value:
        case str():
            return safe(value, _LONGEST_LINE).replace("&", "&amp;").replace("<", "&lt;")
        case Mapping():
            return {k: v if k == "hovertemplate" else _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value


def _table(part: Part) -> str:
    texts = [
        any(row[i] and _is_text(row[i]) for row in part.rows) for i in range(len(part.headings))
    ]
    head = "".join(
        f'<th class="text">{_text(text)}</th>' if is_text else f"<th>{_text(text)}</th>"
        for text, is_text in zip(part.headings, texts, strict=True)
    )
    rows = "\n".join(f"<tr>{_cells(row, texts)}</tr>" for row in part.rows)
    made = (
        f'<div class="wide"><table class="sortable">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )
    if len(part.rows) <= _MANY_ROWS:
        return made
    return f"<details><summary>{len(part.rows):,} rows</summary>\n{made}</details>"


def _is_text(cell: str) -> bool:
    return not cell.lstrip("+-±<")[:1].isdigit()


def _cells(row: Sequence[str], texts: Sequence[bool]) -> str:
    made = []
    for cell, is_text in zip(row, texts, strict=True):
        kind = "long text" if len(cell) > _LONG_CELL else "text" if is_text and cell else ""
        mark = f' class="{kind}"' if kind else ""
        made.append(f"<td{mark}>{_text(cell)}</td>")
    return "".join(made)


def _picture(picture: Picture) -> str:
    try:
        content = picture.path.read_bytes()
    except OSError as error:
        raise BadFile(f"{picture.path}: {error.strerror or error}") from None
    kind, content = compressed(content) if len(content) > _MAX_PICTURE else ("png", content)
    text, code = _text(picture.text), base64.b64encode(content).decode()
    image = f'<img alt="{text}" src="data:image/{kind};base64,{code}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
