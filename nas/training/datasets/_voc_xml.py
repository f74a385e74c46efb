"""Read annotations of Pascal VOC: an XML file for each image, without any of XML's dangers."""

from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from nas.core.errors import BadFile
from nas.core.text import shown
from nas.training.datasets._numbers import LONGEST, number

LARGEST = 2**24
"""Bytes of a file; 10,000 objects take 4 MB."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocObject:
    """An object: its class, its corners in pixels, and whether it is marked as difficult."""

    name: str
    corners: tuple[float, ...]
    difficult: bool


@dataclass(frozen=True, slots=True)
class VocFile:
    """What a file tells: the image, its width and height (0 if it does not say), its objects."""

    file: str
    size: tuple[int, int]
    things: tuple[VocObject, ...]


class _Builder:
    """Builds a tree, but refuses a DOCTYPE, which could define entities without end."""

    def __init__(self) -> None:
        tree = TreeBuilder()
        self.start, self.end, self.data, self.close = tree.start, tree.end, tree.data, tree.close

    def doctype(self, name: str, public: Any, system: Any) -> None:
        """Refuse it as soon as it begins."""
        raise BadFile("it has a DOCTYPE, which annotations do not need; remove it")


def parse(content: bytes, place: str) -> VocFile:
    """Return what the XML of an image tells; `place` is how messages call the file.

    Raises:
        BadFile: if it is no such XML; it names the line, or the object.
    """
    root = _tree(content, place)
    if root.tag != "annotation":
        raise BadFile(f"{place}: expected <annotation>, found <{shown(root.tag, LONGEST)}>")
    size = tuple(_whole(root.findtext(f"size/{name}")) for name in ("width", "height"))
    things = tuple(
        _thing(element, f"{place}: object {index}")
        for index, element in enumerate(root.findall("object"), start=1)
    )
    width, height = size
    return VocFile((root.findtext("filename") or "").strip(), (width, height), things)


def _tree(content: bytes, place: str) -> Element:
    parser = XMLParser(target=_Builder())
    try:
        parser.feed(content)
        root: Element = parser.close()
    except ParseError as error:
        line, _ = error.position
        what = str(error).partition(":")[0]
        raise BadFile(f"{place}, line {line}: {what}") from None
    except BadFile as error:
        raise BadFile(f"{place}: {error}") from None
    except (ValueError, LookupError) as error:  # of an encoding that is none
        raise BadFile(f"{place}: {error}") from None
    return root


def _whole(text: str | None) -> int:
    """Return a size; 0 where there is none to be relied on."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 7 else 0


def _thing(element: Element, place: str) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise BadFile(f"{place} has no name")
    box = element.find("bndbox")
    if box is None:
        raise BadFile(f"{place} ({shown(name, LONGEST)}) has no bndbox")
    corners = tuple(number(box.findtext(key), f"{place}, {key}") for key in CORNERS)
    return VocObject(name, corners, (element.findtext("difficult") or "").strip() == "1")
