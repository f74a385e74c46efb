"""Readers in these tests, and the forms of files."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from readers.mutate import damaged, misread

from nas.network.blocks import Architecture
from nas.space.file import load_space
from nas.space.space import Space

DATA = Path(__file__).parents[1] / "data"
TINY = DATA / "tiny.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A reader: `files` are sound, and one of them, `spoilt`, is damaged before `read` reads.

    `hear` parses that file and `say` writes it again, so that values can be replaced; both are None
    where only bytes can be damaged.
    """

    files: Callable[[], Mapping[str, bytes]]
    spoilt: str
    read: Callable[[Path], object]
    hear: Callable[[bytes], Any] | None = None
    say: Callable[[Any], bytes] | None = None

    def worse(self, draw: random.Random) -> bytes:
        """Return the file damaged in some way."""
        content = self.files()[self.spoilt]
        if self.hear and self.say and draw.random() < 0.6:
            return self.say(misread(_said(self), draw))
        return damaged(content, draw)


@cache
def _said(row: Row) -> Any:
    """Return the parsed content of a reader's sound file."""
    assert row.hear
    return row.hear(row.files()[row.spoilt])


def to_yaml(content: Any) -> bytes:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False).encode()


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # as in nas.core.data
    def ignore_aliases(self, data: Any) -> bool:
        return True


def from_yaml(content: bytes) -> Any:
    return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def to_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def to_lines(content: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in content)


def _from_lines(content: bytes) -> Any:
    return [json.loads(line) for line in content.splitlines()]


YAML: Any = {"hear": from_yaml, "say": to_yaml}
JSON: Any = {"hear": json.loads, "say": to_json}
LINES: Any = {"hear": _from_lines, "say": to_lines}


@cache
def tiny() -> Space:
    return load_space(TINY)


@cache
def arch() -> Architecture:
    return tiny().decode_row(np.zeros(len(tiny().widths), dtype=np.uint8))


def one(name: str, content: Any, say: Callable[[Any], bytes]) -> Callable[[], Mapping[str, bytes]]:
    return cache(lambda: {name: say(content() if callable(content) else content)})
