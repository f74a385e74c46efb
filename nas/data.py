"""Find bundled files, read YAML and JSON strictly, write files so that a kill loses nothing."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from nas import strict_json
from nas.errors import BadFile, unknown
from nas.reader import SCHEMA as SCHEMA
from nas.reader import check_keys as check_keys
from nas.reader import check_schema as check_schema
from nas.reader import locate as locate

FOLDERS = ("search_spaces", "latency_tables", "architectures", "accuracy_models")
"""Folders of bundled data: beside `nas/` in a checkout, inside it in an installed package."""


class Lined(dict[str, Any]):
    """A mapping from a YAML file that knows the line of each of its keys."""

    lines: Mapping[str, int]


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """Safe YAML that refuses keys given twice and remembers where keys stand."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build one value; what Python cannot read is an error of the file, with its line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"cannot read this value ({error})", node.start_mark
            ) from None

    def construct_lined(self, node: yaml.MappingNode) -> Lined:
        """Build one mapping."""
        result = Lined()
        lines = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in result:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            result[key] = self.construct_object(value_node, deep=True)
            lines[key] = key_node.start_mark.line + 1
        result.lines = lines
        return result


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _StrictLoader.construct_lined)


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML or JSON file that holds one mapping with `schema: 1`.

    Raises:
        BadFile: if it cannot be read or parsed (with line), or is of another schema.
    """
    data = read_foreign(path)
    check_schema(data, place=str(path))
    return data


def read_foreign(path: Path) -> Mapping[str, Any]:
    """Read a YAML or JSON file of another project that holds one mapping, of whatever keys.

    Raises:
        BadFile: if it cannot be read or parsed (with line), or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        is_json = path.suffix == ".json"
        data = strict_json.parse(text) if is_json else yaml.load(text, _StrictLoader)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except strict_json.BadJson as error:
        line = f", line {error.line}" if error.line else ""
        raise BadFile(f"{path}{line}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadFile(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadFile(f"{path}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise BadFile(f"{path}: nested too deeply") from None
    if not isinstance(data, Mapping):
        raise BadFile(f"{path}: expected a mapping, found {type(data).__name__}")
    return data


def flat(content: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dots in the names, each of which begins with `start`."""
    result: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{start}{key}"
        result |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return result


@cache
def folder(name: str) -> Path:
    """Return the folder of bundled data called `name`."""
    package = Path(__file__).resolve().parent
    inside = package / "bundled" / name
    return inside if inside.is_dir() else package.parent / name


def bundled(name: str, suffix: str = ".yaml") -> Mapping[str, Path]:
    """Return the bundled files of one folder by their stems, sorted."""
    return {path.stem: path for path in sorted(folder(name).glob(f"*{suffix}"))}


def find(kind: str, name: str | Path, *, where: str, suffix: str = ".yaml") -> Path:
    """Return the file for a bundled name or a path.

    A path is anything with a separator or a suffix.

    Raises:
        UnknownName: if no bundled file has the name; it lists the closest ones.
        BadFile: if the path does not exist.
    """
    text = str(name)
    if os.sep in text or Path(text).suffix in (".yaml", ".yml", ".json", suffix):
        if not Path(text).is_file():
            raise BadFile(f"{text}: no such file")
        return Path(text)
    known = bundled(where, suffix)
    if text not in known:
        raise unknown(kind, text, known)
    return known[text]


def first_comment(path: Path) -> str:
    """Return the first line of a YAML file's leading comment: what the file is."""
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    return line.removeprefix("#").strip() if line.startswith("#") else ""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, which replaces it when the block ends well.

    Whoever reads `path` sees the old content or the new, never a part.

    Raises:
        BadFile: if `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror or error}") from None
    try:
        yield Path(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BadFile(f"{path} cannot be written: {error.strerror or error}") from None
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_json(data: Any) -> str:
    """Return `data` as indented JSON, null for what is no finite number."""
    return strict_json.dumps(data, indent=2, ascii_only=False) + "\n"


def to_yaml(data: Any) -> str:
    """Return `data` as YAML: block style outside, flow style for rows of plain values."""
    return yaml.dump(data, Dumper=_RowDumper, sort_keys=False, width=1000, allow_unicode=True)


class _RowDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # as above
    """Writes a mapping of plain values inside a list as one row."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        """Write lists of scalars on one line, and mappings of scalars as rows."""
        node = super().represent_sequence(tag, sequence, flow_style)
        for child in node.value:
            if isinstance(child, yaml.MappingNode) and all(
                isinstance(value, yaml.ScalarNode) for _, value in child.value
            ):
                child.flow_style = True
        node.flow_style = all(isinstance(child, yaml.ScalarNode) for child in node.value)
        return node
