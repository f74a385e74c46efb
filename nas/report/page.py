"""One self-contained HTML page of texts, tables and pictures."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nas.core.errors import BadFile
from nas.core.text import safe

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #8885; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: white; } figure { margin: 1rem 0; }
figcaption { font-size: .85rem; opacity: .8; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8885; font-size: .8rem; }
"""


_LONGEST_LINE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG file that goes into the page, and what it shows."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a page: a heading, and below it what is given, in this order.

    `points` become a list, `rows` a table under `headings`, `code` is shown as it is.
    """

    heading: str
    texts: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[Picture, ...] = ()
    code: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing below the heading."""
        return not (self.texts or self.points or self.rows or self.pictures or self.code)


def page(title: str, parts: Sequence[Part]) -> str:
    """Return the page with all parts that are not empty.

    Raises:
        BadFile: if a picture cannot be read.
    """
    inside = "\n".join(_part(part) for part in parts if not part.is_empty)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{_text(title)}</h1>\n{inside}\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    """Return a text as HTML shows it, without control characters or the passwords of URLs."""
    return escape(safe(text, _LONGEST_LINE))


def _part(part: Part) -> str:
    points = "".join(f"<li>{_text(text)}</li>" for text in part.points)
    pieces = [
        f"<h2>{_text(part.heading)}</h2>",
        *(f"<p>{_text(text)}</p>" for text in part.texts),
        f"<ul>{points}</ul>" if points else "",
        _table(part) if part.rows else "",
        *(_picture(picture) for picture in part.pictures),
        f"<pre>{_text(part.code)}</pre>" if part.code else "",
    ]
    return "\n".join(piece for piece in pieces if piece)


def _table(part: Part) -> str:
    head = "".join(f"<th>{_text(text)}</th>" for text in part.headings)
    rows = "\n".join(f"<tr>{_cells(row)}</tr>" for row in part.rows)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{_text(text)}</td>" for text in row)


def _picture(picture: Picture) -> str:
    try:
        content = base64.b64encode(picture.path.read_bytes()).decode()
    except OSError as error:
        raise BadFile(f"{picture.path}: {error.strerror or error}") from None
    text = _text(picture.text)
    image = f'<img alt="{text}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
