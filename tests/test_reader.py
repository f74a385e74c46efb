"""Values of files: each is checked, and a bad one is named with file, line and key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nas.data import read_mapping
from nas.errors import BadFile
from nas.reader import Reader

READ: dict[str, tuple[Callable[[Reader], Callable[..., Any]], list[str], list[str]]] = {
    "text": (lambda r: r.text, ["a", "''"], ["1", "[a]", "null"]),
    "texts": (lambda r: r.texts, ["[a, b]", "[]"], ["a", "[a, 1]", "{a: 1}"]),
    "number": (lambda r: r.number, ["0", "1.5", "2"],
               ["-1", "x", ".inf", ".nan", "true", "null", "[1]", "'1'"]),
    "signed": (lambda r: r.signed, ["0", "-1.5", "2"], ["x", ".inf", "-.inf", ".nan", "true"]),
    "whole": (lambda r: r.whole, ["0", "7"], ["-1", "1.0", "true", "x", "null"]),
    "wholes": (lambda r: r.wholes, ["[]", "[0, 3]"], ["3", "[-1]", "[1.0]", "[true]", "[a]"]),
    "bounds": (lambda r: r.bounds, ["[0, 0]", "[1, 7]"],
               ["[7, 1]", "[1]", "[1, 2, 3]", "[-1, 2]", "[1, 2.5]", "3", "[true, 2]"]),
    "numbers": (lambda r: r.numbers, ["{}", "{a: 1, b c: 0.5}"], ["3", "[1]", "a", "null"]),
    "mapping": (lambda r: r.mapping, ["{}", "{a: 1}"], ["3", "[]", "a", "null"]),
}  # fmt: skip


def _file(tmp_path: Path, text: str) -> tuple[Reader, Any]:
    path = tmp_path / "file.yaml"
    path.write_text(f"schema: 1\nother: 2\n{text}\n")
    return Reader(path), read_mapping(path)


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, row in READ.items() for t in row[1]])
def test_a_good_value_is_read(kind: str, text: str, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"value: {text}")
    read = READ[kind][0](reader)(data, "value")
    assert read == (tuple(data["value"]) if isinstance(data["value"], list) else data["value"])


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, row in READ.items() for t in row[2]])
def test_a_bad_value_is_named_with_file_line_and_key(kind: str, text: str, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"value: {text}")
    with pytest.raises(BadFile, match=r"file\.yaml, line 3: value must be .*, not ") as error:
        READ[kind][0](reader)(data, "value")
    assert "\n" not in str(error.value)


def test_a_file_without_lines_is_named_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"schema": 1, "value": -1}')
    with pytest.raises(BadFile, match=r"file\.json: value must be a number >= 0, not -1"):
        Reader(path).number(read_mapping(path), "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    name: str
    count: int
    share: float
    cores: tuple[int, ...]
    tags: tuple[str, ...] = ()
    sizes: Mapping[str, float] = field(default_factory=dict)
    maybe: float | None = None


GOOD = "record: {name: a, count: 3, share: 0.5, cores: [1, 2]}"


def test_a_record_is_read_by_its_types_and_defaults_may_be_missing(tmp_path: Path) -> None:
    reader, data = _file(tmp_path, GOOD)
    found = _Record(**reader.record(data, "record", _Record))
    assert found == _Record(name="a", count=3, share=0.5, cores=(1, 2))
    reader, data = _file(tmp_path, GOOD.replace("}", ", tags: [x], maybe: 2, sizes: {a: 2}}"))
    found = _Record(**reader.record(data, "record", _Record))
    assert (found.tags, found.maybe, found.sizes) == (("x",), 2.0, {"a": 2.0})
    assert set(reader.record(data, "record", _Record, without=("count", "tags"))) == {
        "name", "share", "cores", "maybe", "sizes"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "changed", "message"),
    [
        ("count: 3, ", "", "record, line 3: missing count"),
        ("name: a", "nam: a", "record, line 3: unknown key 'nam'; did you mean name?"),
        ("share: 0.5", "share: -0.5", "line 3: share must be a number >= 0, not -0.5"),
        ("[1, 2]", "[1, x]", r"line 3: cores must be a list of whole numbers >= 0, not \[1, 'x'\]"),
        ("{name", "[name", "line 3: record must be a mapping"),
    ],
)
def test_a_bad_record_is_named(found: str, changed: str, message: str, tmp_path: Path) -> None:
    text = GOOD.replace(found, changed)
    text = "record: [1]" if changed == "[name" else text
    reader, data = _file(tmp_path, text)
    with pytest.raises(BadFile, match=message) as error:
        reader.record(data, "record", _Record)
    assert str(reader.path) in str(error.value)


@pytest.mark.parametrize("text", ["-1", "x", ".inf", "true", "null"])
def test_a_bad_number_of_several_is_named_by_its_own_key(text: str, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"value:\n  a: 1\n  b c: {text}")
    with pytest.raises(BadFile, match=r"file\.yaml, line 5: b c must be a number >= 0, not "):
        reader.numbers(data, "value")


def test_a_mapping_has_exactly_its_keys(tmp_path: Path) -> None:
    reader, data = _file(tmp_path, "value: {a: 1, b: 2}")
    assert reader.mapping(data, "value", ("a", "b")) == {"a": 1, "b": 2}
    for keys, message in ((("a",), "unknown key 'b'"), (("a", "b", "c"), "missing c")):
        with pytest.raises(BadFile, match=rf"file\.yaml, value, line 3: {message}"):
            reader.mapping(data, "value", keys)
