"""YAML: small files that would be expensive to load are refused."""

import time
from pathlib import Path

import pytest

from nas.core import strict_yaml
from nas.core.data import read_mapping
from nas.core.errors import BadFile
from nas.core.strict_json import DEEPEST, Malformed
from nas.core.strict_yaml import parse
from nas.core.text import LONGEST_MESSAGE, shown


def _bomb(levels: int) -> str:
    rows = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, levels))
    return f"schema: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n{rows}"


@pytest.mark.parametrize(
    "text",
    ["[" * 80_000, "- " * 80_000, "{a: " * 80_000, "? " * 80_000, "a:\n  " + "- " * 500],
    ids=["lists", "dashes", "mappings", "keys", "inside"],
)
def test_deep_nesting_is_refused_and_not_followed(text: str) -> None:
    with pytest.raises(Malformed, match=f"is nested deeper than {DEEPEST} levels"):
        parse(text)


@pytest.mark.parametrize(("levels", "fits"), [(DEEPEST, True), (DEEPEST + 1, False)])
def test_as_deep_as_specified(levels: int, fits: bool) -> None:
    text = "[" * levels + "]" * levels
    if fits:
        assert parse(text) == eval(text)
    else:
        with pytest.raises(Malformed, match="deeper"):
            parse(text)


def test_levels_count_through_aliases() -> None:
    half = "[" * 40 + "]" * 40
    assert parse(f"a: &a {half}\nb: *a\n")
    with pytest.raises(Malformed, match="deeper") as caught:
        parse(f"a: &a {half}\nb: {'[' * 40}*a{']' * 40}\n")
    assert caught.value.line == 2


def test_aliases_count_as_often_as_they_repeat(tmp_path: Path) -> None:
    assert parse("a: &a [3, 5]\nb: [*a, *a]\n") == {"a": [3, 5], "b": [[3, 5], [3, 5]]}
    path = tmp_path / "bomb.yaml"
    path.write_text(_bomb(9), encoding="utf-8")
    assert path.stat().st_size < 1000
    start = time.monotonic()
    with pytest.raises(BadFile, match=r"bomb.yaml, line \d: has more than 2,000,000 values"):
        read_mapping(path)
    assert time.monotonic() - start < 2


def test_what_aliases_repeat_is_cut_before_it_is_written() -> None:
    wide = parse(_bomb(6))
    assert len(shown(wide)) <= 200
    assert len(shown(wide["a5"])) <= 200


def test_what_holds_itself_is_refused() -> None:
    for text in ("a: &a [*a]", "a: &a {b: *a}", "a: *a"):
        with pytest.raises(Malformed):
            parse(text)


@pytest.mark.parametrize(
    "number", ["9" * 400, "-" + "9" * 400, "0x" + "f" * 50_000, "1" + ":1" * 50_000, "1_" * 200]
)
def test_a_number_of_many_digits_is_refused(number: str) -> None:
    with pytest.raises(
        Malformed, match=r"has a number of more than 100 digits|cannot read"
    ) as said:
        parse(f"schema: 1\nwidth: {number}\n")
    assert said.value.line == 2


def test_a_float_beyond_its_range_is_one_line() -> None:
    with pytest.raises(Malformed, match="cannot read this value"):
        parse("a: !!float " + "1:" * 500 + "1.0")


def test_without_the_c_library_the_same_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "_Parser", strict_yaml.yaml.SafeLoader)
    for text in ("[" * 500, _bomb(9)):
        with pytest.raises(Malformed, match=r"deeper|more than"):
            parse(text)


def test_a_value_of_any_size_is_shown(tmp_path: Path) -> None:
    assert shown(1 << 100_000) == "<a number of 100001 bits>"
    assert shown({"a": 10**20}) == "{'a': 100000000000000000000}"
    path = tmp_path / "a.yaml"
    path.write_text(f"schema: {'[0, 1, 2, 3]' * 1}\nx: {'y' * 10_000}\n", encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_mapping(path)
    assert len(str(caught.value)) <= LONGEST_MESSAGE
