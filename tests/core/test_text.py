"""Text from any source is safe to print, and names from any source are safe as file names."""

import pytest

from nas.core.errors import BadValue, NasError, unknown
from nas.core.text import file_name, printable, safe, shown, without_secrets


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[31m\nb\x07\u202ec\u2028\x9b") == r"a\x1b[31m\nb\x07\u202ec\u2028\x9b"


def test_letters_of_all_scripts_stay() -> None:
    assert printable("Größe 猫 мышь é") == "Größe 猫 мышь é"


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 30, 10) == "xxxxxxx..."
    assert printable("x" * 10, 10) == "x" * 10
    assert len(printable("\x00" * 10_000)) == 1000


def test_a_value_is_shown_as_python_writes_it() -> None:
    assert shown("7") == "'7'"
    assert shown([1, 2.5, "a"]) == "[1, 2.5, 'a']"
    assert len(shown("x" * 10**6)) <= 200
    assert len(shown(10**4000)) <= 200


def test_a_value_that_holds_itself_over_and_over_is_shown_at_once() -> None:
    value: list[object] = ["x"]
    for _ in range(60):  # 10 ** 60 values, as the aliases of a small YAML file make them
        value = [value] * 10
    assert len(shown(value)) <= 200


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("s3://me:pass@host/b: gone", "s3://***@host/b: gone"),
        ("https://token@host/x", "https://***@host/x"),
        ("memory://run and you@home", "memory://run and you@home"),
        ("az://c/r?sv=1&sig=ab%2F&x=2", "az://c/r?sv=1&sig=***&x=2"),
        ("h://h/?X-Amz-Signature=1f&api_key=k 'q'", "h://h/?X-Amz-Signature=***&api_key=*** 'q'"),
        ("monkey=1&monkey=2", "monkey=1&monkey=2"),
        ("h://h/?monkey=1&turkey=2", "h://h/?monkey=1&turkey=2"),
        ("h://h/x?apikey=1&accesskey=2#token=3", "h://h/x?apikey=***&accesskey=***#token=***"),
        ("s3://k:se/cr@et@h/b, s3://h/b", "s3://***@h/b, s3://h/b"),
        ("ray:address=auto,token=1", "ray:address=auto,token=***"),
        ('GET h://h/?token=a"b failed', 'GET h://h/?token=***"b failed'),
    ],
)  # fmt: skip
def test_secrets_of_urls_are_masked(text: str, masked: str) -> None:
    assert without_secrets(text) == masked


def test_secrets_are_masked_before_a_value_is_cut() -> None:
    assert shown(f"s3://{'x' * 300}@host/b") == "'s3://***@host/b'"


@pytest.mark.parametrize("text", ["?" + "key_" * 50_000, "://" * 50_000, "a=" * 50_000])
def test_any_text_is_made_safe_at_once(text: str) -> None:
    # A pattern that backtracks would take minutes for one of these.
    assert len(safe(text)) == 1000
    without_secrets(text)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("efficientnet_b0", "efficientnet_b0"),
        ("v3-large_0.75", "v3-large_0.75"),
        ("../../evil", "evil"),
        ("/tmp/x", "tmp_x"),
        ("..", "arch"),
        ("", "arch"),
        ("a\x00b\n", "a_b_"),
        ("x" * 500, "x" * 80),
        ("-rf", "rf"),
    ],
)
def test_names_become_files_that_stay_where_they_are_written(name: str, file: str) -> None:
    assert file_name(name, default="arch") == file


def test_an_error_is_one_printable_line_whatever_it_quotes() -> None:
    error = NasError("no \x1b[2J s3://u:p@h/b\n" + "x" * 5000)
    assert str(error).startswith(r"no \x1b[2J s3://***@h/b\nxxx")
    assert len(str(error)) == 1000
    assert str(BadValue("bad \x07", "key")) == r"bad \x07"
    assert len(str(unknown("space", "a" * 10**6, ["mnasnet_b0"]))) < 300
