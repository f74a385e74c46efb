"""Damage files as a bad disk, a faulty tool or an attacker would, by a seeded generator.

`damaged` changes bytes; `misread` replaces values in the content by nonsense.
"""

import copy
import os
import random
from collections.abc import Callable
from typing import Any

Mutate = Callable[[random.Random], bytes]
MUTATIONS = int(os.environ.get("NAS_MUTATIONS", "100"))
"""Damaged files for every reader."""

NAN, INF = float("nan"), float("inf")
LONG = 10**400
DEEP: Any = []
for _ in range(100):
    DEEP = [DEEP]
NONSENSE: tuple[Any, ...] = (
    NAN, INF, -INF, 1e308, -1e308, -1, 0, 0.5, 2**31, 2**63, 10**30, LONG, True, None, "", "1",
    "../../evil", "\x1b[2J\x00\u202e", "a" * 5000, [], {}, [None], [[]], {"a": 1}, {"\x1b": {}},
    [NAN, 1e308, -1], ["x"] * 500,
)  # fmt: skip
"""Values that no reader expects in their place."""
PIECES = (
    b"\0", b"\xff\xfe", b"\n", b"\r", b"{", b"}", b"[", b"]", b'"', b":", b",", b"-", b"NaN",
    b"1e999", b"9" * 400, b"[" * 500, b'{"a":' * 200, b"\x1b[31m", b"*a ", b"&a ",
    b"!!python/object:os.system ", b"\\ud800", b"- ", b"\t", b"? ", b"'", b"%", b"inf", b"null",
)  # fmt: skip


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return `content` with bytes flipped, cut, inserted, doubled or moved."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = draw.choice(_DAMAGES)(content, draw)
    return content


def _flip(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randint(0, len(content))]


def _insert(content: bytes, draw: random.Random) -> bytes:
    at, piece = draw.randint(0, len(content)), draw.choice(PIECES)
    return content[:at] + piece + content[at:]


def _replace(content: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(content))
    return content[:start] + draw.choice(PIECES) + content[start + draw.randint(1, 20) :]


def _splice(content: bytes, draw: random.Random) -> bytes:
    a, b, c = (draw.randint(0, len(content)) for _ in range(3))
    return content[:a] + content[min(b, c) : max(b, c)] + content[a:]


def _drop(content: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(content))
    return content[:start] + content[start + draw.randint(1, 200) :]


def _lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return _splice(content, draw)
    i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[draw.choice((i, j))]
    return b"".join(lines)


_DAMAGES = (_flip, _cut, _insert, _replace, _splice, _drop, _lines)


def misread(content: Any, draw: random.Random) -> Any:
    """Return a copy of plain data in which one or a few values, at any depth, are nonsense."""
    content = copy.deepcopy(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(content))
        if not places:
            return draw.choice(NONSENSE)
        inside, key = draw.choice(places)
        _spoil(inside, key, draw)
    return content


def _places(content: Any) -> Any:
    if isinstance(content, dict | list):
        steps = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in list(steps):
            yield content, key
            yield from _places(value)


def _spoil(inside: Any, key: Any, draw: random.Random) -> None:
    """Replace, drop, rename or double a value."""
    match draw.randrange(8):
        case 0:
            del inside[key]
        case 1 if isinstance(inside, dict):
            inside[draw.choice(("", "a\nb", "\x1b[31m", "x" * 3000, "schema"))] = inside.pop(key)
        case 2 if isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[key]))
        case 3:
            inside[key] = copy.deepcopy(DEEP)
        case 4:
            inside[key] = [inside[key]]
        case _:
            inside[key] = copy.deepcopy(draw.choice(NONSENSE))
