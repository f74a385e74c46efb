"""Files: strict reading, atomic writing, names."""

import os
import stat
from pathlib import Path

import pytest

from nas.core import data, strict_yaml
from nas.core.errors import BadFile, UnknownName
from nas.core.files import atomic_path, write_text
from nas.core.schema import check_keys, check_schema, locate


def test_keys_know_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("schema: 1\n\nrows:\n- {a: 1}\n- a: 2\n  b: 3\n", encoding="utf-8")
    content = data.read_mapping(path)
    assert locate(content, ("rows",), "x") == "x, line 3"
    assert locate(content, ("rows", 1, "b"), "x") == "x, line 6"
    assert locate(content, ("rows", 1), "x") == "x, line 5"
    assert locate({"rows": [0]}, ("rows", 0), "x") == "x"


def test_unknown_and_missing_keys_are_named() -> None:
    with pytest.raises(BadFile, match=r"^x: unknown key 'wdith'; did you mean width"):
        check_keys({"wdith": 1}, known=("width",), required=(), place="x")
    with pytest.raises(BadFile, match=r"^x: missing height, width$"):
        check_keys({}, known=(), required=("height", "width"), place="x")


@pytest.mark.parametrize("schema", [0, 2, "1", 1.0, True, None, [1]])
def test_only_this_schema_is_read(schema: object) -> None:
    with pytest.raises(BadFile, match=r"x: schema is .*; this version reads 1"):
        check_schema({"schema": schema}, place="x")
    check_schema({"schema": 1}, place="x")


def test_a_folder_or_missing_file_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(BadFile) as caught:
            data.read_mapping(path)
        assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"schema: 1\nname: \xff\n")
    with pytest.raises(BadFile, match=r"x\.yaml: 'utf-8' codec"):
        data.read_mapping(path)


def test_yaml_keeps_rows_on_one_line_and_reads_back(tmp_path: Path) -> None:
    content = {"schema": 1, "rows": [{"a": 1, "b": "x: y"}, {"a": None}], "list": [1, 2], "é": 0.1}
    path = tmp_path / "x.yaml"
    write_text(path, data.to_yaml(content))
    assert "- {a: 1, b: 'x: y'}\n" in path.read_text(encoding="utf-8")
    assert data.read_mapping(path) == content


def test_json_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_text(path, data.to_json({"schema": 1, "é": [0.1]}))
    assert data.read_mapping(path) == {"schema": 1, "é": [0.1]}


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(path.parent) == ["x.txt"]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "x.txt", "x")
    assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["folder", "file/x.txt"])
def test_an_unwritable_path_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadFile, match="cannot be written: ") as caught:
        write_text(tmp_path / name, "x")
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_bundled_names_and_paths_are_found(tmp_path: Path) -> None:
    known = data.bundled("architectures")
    assert (
        data.find("architecture", "efficientnet_b0", where="architectures")
        == known["efficientnet_b0"]
    )
    path = tmp_path / "x.yaml"
    path.touch()
    assert data.find("architecture", path, where="architectures") == path
    with pytest.raises(UnknownName, match="unknown architecture 'efficientnet'; did you mean"):
        data.find("architecture", "efficientnet", where="architectures")


def test_first_comment_says_what_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# What it is\nschema: 1\n", encoding="utf-8")
    assert data.first_comment(path) == "What it is"
    path.write_text("schema: 1\n", encoding="utf-8")
    assert data.first_comment(path) == ""


TEXTS = ("001", "null", "yes", "a, b", "[a]", "a: b", "a #b", "1e5", "", "é", "a\nb", "'", '"', "-")


def test_rows_are_written_as_the_library_writes_them() -> None:
    row = {"text": "a", "nothing": None, "flag": True, "whole": 1, "real": 1.5, "one": 1.0}
    wanted = "{text: a, nothing: null, flag: true, whole: 1, real: 1.5, one: 1.0}"
    content = {"schema": 1, "stem": [row], "stages": [[row, {"a": 0}], [], [{"b": 2}]], "head": []}
    assert data.to_yaml(content) == (
        f"schema: 1\nstem:\n- {wanted}\nstages:\n- - {wanted}\n  - {{a: 0}}\n- []\n- - {{b: 2}}\n"
        "head: []\n"
    )


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_written_is_read_again(text: str) -> None:
    for content in (
        {"rows": [{"a": text, "b": [text]}, {text: 1}, {"a": text}], text: [{"a": 1}]},
        {"rows": [{"a": text}, {"b": text}], "lists": [[{"a": text}], [text], [[]]]},
    ):
        assert strict_yaml.parse(data.to_yaml(content)) == content
