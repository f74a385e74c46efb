"""Records in files: every value is checked, and a bad one is named with file, line and key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from nas.core.data import read_mapping
from nas.core.errors import BadFile, BadValue, RunError
from nas.core.schema import (
    Count,
    Fraction,
    FromFile,
    Milliseconds,
    Name,
    OneOf,
    Positive,
    Predicted,
    Reader,
    Signed,
    Texts,
)

LONG = "1" * 50
READ: dict[Any, tuple[list[str], list[str]]] = {
    str: (["a", "''"], ["1", "[a]", "null", "{}"]),
    bool: (["true", "false"], ["1", "'yes'", "null"]),
    int: (["0", "7"], ["-1", "1.0", "true", "x", "null", LONG]),
    Count: (["1", "7"], ["0", "-1", "1.0", LONG]),
    float: (["0", "1.5", "2", "1.0e+308"],
            ["-1", "x", ".inf", ".nan", "true", "null", "[1]", "'1'"]),
    Signed: (["0", "-1.5", "2"], ["x", ".inf", "-.inf", ".nan", "true"]),
    Positive: (["0.1", "2"], ["0", "-1", ".nan"]),
    Fraction: (["0", "0.5", "1"], ["-0.1", "1.1", ".nan", "true"]),
    Annotated[str, OneOf(("a", "b"))]: (["a"], ["c", "1", "[a]"]),
    float | None: (["1", "null"], ["-1", "x"]),
    Name: (["a", "'7'"], ["1.5", "true", "null", "[a]"]),
    Texts: (["[a, b]", "[]"], ["3", "[a, 1]", "{a: 1}", "null"]),
    tuple[str, ...]: (["[a, b]", "[]"], ["a", "{a: 1}", "null"]),
    tuple[int, int]: (["[0, 0]", "[7, 1]"], ["[1]", "[1, 2, 3]", "3"]),
    Mapping[str, float]: (["{}", "{a: 1, b c: 0.5}"], ["3", "[1]", "a", "null"]),
    Mapping[str, Any]: (["{}", "{a: [1]}"], ["3", "[]", "a", "null"]),
}  # fmt: skip
GOOD = [(kind, text) for kind, row in READ.items() for text in row[0]]
BAD = [(kind, text) for kind, row in READ.items() for text in row[1]]


def _file(tmp_path: Path, text: str) -> tuple[Reader, Any]:
    path = tmp_path / "file.yaml"
    path.write_text(f"schema: 1\nother: 2\n{text}\n")
    return Reader(path), read_mapping(path)


@pytest.mark.parametrize(("kind", "text"), GOOD)
def test_a_good_value_is_read(kind: Any, text: str, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"value: {text}")
    value = data["value"]
    assert reader.get(data, "value", kind) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(("kind", "text"), BAD)
def test_a_bad_value_is_named_with_file_line_and_key(kind: Any, text: str, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"value: {text}")
    with pytest.raises(BadFile, match=r"file\.yaml, line 3: value must be .*, not ") as error:
        reader.get(data, "value", kind)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (tuple[str, ...], "[a, 1]", "line 3: value.1 must be a text, not 1"),
        (tuple[int, int], "[1, 2.5]", "line 3: value.1 must be a whole number >= 0, not 2.5"),
        (Mapping[str, float], "{a: 1, b c: x}", "value.b c must be a number >= 0, not 'x'"),
        (Mapping[str, Any], "{1: 2}", "value: key 1 must be a text"),
        (tuple[tuple[int, ...], ...], "[[1], [2, x]]", "value.1.1 must be a whole number"),
        (Fraction, "2", "value must be a number from 0 to 1, not 2"),
        (Predicted, "2", "value must be a number from -0.5 to 1.5, not 2"),
        (
            Milliseconds,
            "2000000001",
            "value must be a number from 0 to 1,000,000,000, not 2000000001",
        ),
        (Count, "0", "value must be a whole number >= 1, not 0"),
        (Positive, "0", "value must be a number > 0, not 0"),
        (int, LONG, "value must be a whole number of at most 9223372036854775807"),
    ],
)
def test_the_path_to_a_bad_value_is_reported(
    kind: Any, text: str, message: str, tmp_path: Path
) -> None:
    reader, data = _file(tmp_path, f"value: {text}")
    with pytest.raises(BadFile, match=message):
        reader.get(data, "value", kind)


def test_a_file_without_lines_is_named_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"schema": 1, "value": -1}')
    with pytest.raises(BadFile, match=r"file\.json: value must be a number >= 0, not -1"):
        Reader(path).get(read_mapping(path), "value", float)


def test_a_value_of_a_line_is_named_with_the_line() -> None:
    reader = Reader("a.jsonl", line=7, error=RunError, damage="damaged: ", then="; mend it")
    with pytest.raises(RunError, match=r"^a.jsonl, line 7: damaged: x must be .* not -1; mend it$"):
        reader.get({"x": -1}, "x", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inner:
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise BadValue("low must not be above high", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    name: str
    count: int
    share: Fraction
    cores: tuple[int, ...]
    tags: tuple[str, ...] = ()
    sizes: Mapping[str, float] = field(default_factory=dict)
    maybe: float | None = None
    inner: tuple[_Inner, ...] = ()


START = "{name: a, count: 3, share: 0.5, cores: [1, 2]}"


def test_a_record_is_read_by_its_types_and_defaults_may_be_missing(tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"record: {START}")
    found = reader.get(data, "record", _Record)
    assert found == reader.record(data["record"], _Record)
    assert found == _Record(name="a", count=3, share=0.5, cores=(1, 2))
    more = ", tags: [x], maybe: 2, sizes: {a: 2}, inner: [{low: 1, high: 2}]}"
    reader, data = _file(tmp_path, f"record: {START.replace('}', more)}")
    found = reader.get(data, "record", _Record)
    assert (found.tags, found.maybe, found.sizes) == (("x",), 2.0, {"a": 2.0})
    assert found.inner == (_Inner(low=1.0, high=2.0),)


@pytest.mark.parametrize(
    ("found", "changed", "message"),
    [
        ("count: 3, ", "", "line 3: record: missing count"),
        ("name: a", "nam: a", "line 3: record: unknown key 'nam'; did you mean name?"),
        ("share: 0.5", "share: 1.5", "line 3: record.share must be a number from 0 to 1, not 1.5"),
        ("[1, 2]", "[1, x]", "line 3: record.cores.1 must be a whole number >= 0, not 'x'"),
        (START, "[1]", "line 3: record must be a mapping"),
        ("}", ", inner: [{low: 1}]}", "line 3: record.inner.0: missing high"),
        ("}", ", inner: [{low: 2, high: 1}]}", "record.inner.0: low must not be above high"),
    ],
)
def test_a_bad_record_is_named(found: str, changed: str, message: str, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"record: {START.replace(found, changed)}")
    with pytest.raises(BadFile, match=message) as error:
        reader.get(data, "record", _Record)
    assert str(reader.path) in str(error.value)


@pytest.mark.parametrize(
    ("kind", "text", "wanted"), [(Name, "2018", "2018"), (Name, "a", "a"), (Texts, "a", ("a",))]
)
def test_a_value_may_be_given_in_short(kind: Any, text: str, wanted: Any, tmp_path: Path) -> None:
    reader, data = _file(tmp_path, f"value: {text}")
    found = reader.get(data, "value", kind)
    assert found == wanted
    assert isinstance(found if kind is Name else found[0], FromFile)
