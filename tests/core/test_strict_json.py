"""JSON in and out: the standard, and nothing else."""

import json
from math import inf, nan
from time import perf_counter

import pytest

from nas.core.strict_json import DEEPEST, Malformed, dumps, parse


@pytest.mark.parametrize("value", [None, True, 1, -1.5, "a[{\u00e9", [1, [2]], {"a": {"b": []}}])
def test_what_is_written_is_read_back(value: object) -> None:
    assert parse(dumps(value)) == value
    assert parse(dumps(value, indent=1, ascii_only=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is nested deeper than 64 levels"),
        ('{"a":' * 100_000, "is nested deeper than 64 levels"),
        ("[" * 65 + "]" * 65, "is nested deeper than 64 levels"),
        ("1" * 400, "has a number of 400 digits"),
        ("-" + "1" * 5000, "has a number of 5001 digits"),
        ("1e999", "'1e999' is beyond the range of numbers"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ('{"a": 1, "b": 2, "b": 3}', "key 'b' is given twice"),
        ('{"a": 1', "Expecting"),
        ("", "Expecting value"),
        (b"\xff", "is not UTF-8 text at byte 0"),
        ('"\\ud800"', "holds half a character"),
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        parse(text)


def test_the_line_is_reported() -> None:
    with pytest.raises(Malformed) as error:
        parse('{"a": 1,\n"b" 2}')
    assert error.value.line == 2


def test_brackets_in_texts_do_not_nest() -> None:
    assert parse(json.dumps("[" * 1000)) == "[" * 1000
    assert parse(json.dumps(['"[' * 100, "\\[" * 100])) == ['"[' * 100, "\\[" * 100]
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert parse(f"[{deep[1:-1]}]") == json.loads(deep)
    assert len(parse("[" + "[]," * 1000 + "[]]")) == 1001


@pytest.mark.parametrize("text", ['"' + '\\"' * 300_000, "[" * 70 + '"' * 300_001, "[]" * 300_000])
def test_odd_texts_take_no_time(text: str) -> None:
    began = perf_counter()
    with pytest.raises(Malformed):
        parse(text)
    assert perf_counter() - began < 20  # seconds; minutes if it grew with the square


def test_constants_are_let_through_where_that_is_asked_for() -> None:
    found = parse("[NaN, Infinity, -Infinity, 1e999]", constants=True)
    assert found[1:] == [inf, -inf, inf]
    assert found[0] != found[0]


def test_what_is_no_finite_number_is_written_as_null() -> None:
    content = {"a": nan, "b": [inf, 1.0, (-inf,)], "c": {"d": nan}}
    assert json.loads(dumps(content), parse_constant=pytest.fail) == {
        "a": None, "b": [None, 1.0, [None]], "c": {"d": None}
    }  # fmt: skip
