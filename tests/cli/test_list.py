"""`nas list`: one line for everything that has a name."""

import json
from collections.abc import Callable

import pytest

from nas.core import data, plugins

Nas = Callable[..., object]
PLUGINS = (kind for kind in plugins.KINDS if kind != "datasets")
KINDS = ("spaces", "tables", "architectures", "detectors", "recipes", *PLUGINS, "data")


def test_everything_has_a_line(nas: Nas) -> None:
    found = json.loads(nas("list", "--json").out)
    assert found.pop("schema") == 1
    assert set(found.pop("weights")) >= {"timm:mobilenetv3_large_100.ra_in1k"}
    assert tuple(found) == KINDS
    for entries in found.values():
        assert entries
        assert all(line.strip() and "\n" not in line for line in entries.values())
    assert list(found["architectures"]) == list(data.bundled("architectures"))
    assert found["strategies"] == dict(plugins.available("strategies"))


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone(nas: Nas, kind: str) -> None:
    found = json.loads(nas("list", kind, "--json").out)
    assert found.pop("schema") == 1
    assert tuple(found) == (kind,)
    table = nas("list", kind)
    assert (table.code, table.err) == (0, "")
    blank, title, headings, *rows = table.out.splitlines()
    assert (blank, title, headings.split()) == ("", kind, ["name", "what", "it", "is"])
    width = 2 + max(map(len, found[kind]))
    assert rows == [f"{name:{width}}{line}" for name, line in found[kind].items()]


def test_long_lines_are_never_cut_and_brackets_stay(
    nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"as in [bold]this[/bold] :smile: {'very ' * 30}long"
    monkeypatch.setattr("nas.core.plugins.available", lambda kind: {"mine": line, "x": "short"})
    monkeypatch.setenv("COLUMNS", "40")
    out = nas("list", "strategies").out
    assert out == f"\nstrategies\nname  what it is\nmine  {line}\nx     short\n"
