"""Find bundled files, and read and write YAML and JSON."""

import os
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from nas.core import strict_json, strict_yaml
from nas.core.errors import BadFile, first_line, unknown
from nas.core.files import open_regular, read_text
from nas.core.schema import check_schema

_LONGEST_LINE = 1000  # bytes of a comment
_WIDTH = 1000  # characters of a row
_JSON = (".json", ".config")  # suffixes of JSON files; the second is that of Once-for-All


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML or JSON file that holds one mapping with `schema: 1`.

    Raises:
        BadFile: if it cannot be read or parsed (with the line), or has another schema.
    """
    data = read_foreign(path)
    check_schema(data, place=str(path))
    return data


def read_foreign(path: Path) -> Mapping[str, Any]:
    """Read a YAML or JSON file that holds one mapping, whatever its keys and schema.

    Raises:
        BadFile: if it cannot be read or parsed (with the line), or gives a key twice.
    """
    try:
        text = read_text(path)
        data = (strict_json if path.suffix in _JSON else strict_yaml).parse(text)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except strict_json.Malformed as error:
        line = f", line {error.line}" if error.line else ""
        raise BadFile(f"{path}{line}: {error}") from None
    except ValueError as error:
        raise BadFile(f"{path}: {first_line(error)}") from None
    if not isinstance(data, Mapping):
        raise BadFile(f"{path}: expected a mapping, found {type(data).__name__}")
    return data


def flat(content: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return nested mappings as one flat mapping with dotted keys, each prefixed by `start`."""
    result: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{start}{key}"
        result |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return result


@cache
def folder(name: str) -> Path:
    """Return the folder of bundled data with this name."""
    package = Path(__file__).resolve().parents[1]
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
    if is_path(text, suffix):
        if not exists(Path(text)):
            raise BadFile(f"{text}: no such file")
        return Path(text)
    known = bundled(where, suffix)
    if text not in known:
        raise unknown(kind, text, known)
    return known[text]


def is_path(text: str, suffix: str = ".yaml") -> bool:
    """Return whether `text` is a path, not a bundled name: it has a separator or a suffix."""
    return os.sep in text or Path(text).suffix in (".yaml", ".yml", *_JSON, suffix)


def exists(path: Path) -> bool:
    """Return whether `path` exists; an impossible path does not."""
    try:
        return path.exists()
    except (OSError, ValueError):  # the name is too long, or has a null character
        return False


def first_comment(path: Path) -> str:
    """Return the first line of a YAML file's leading comment, which describes the file."""
    with open_regular(path) as file:
        line = file.readline(_LONGEST_LINE).decode("utf-8", errors="replace")
    return line.removeprefix("#").strip() if line.startswith("#") else ""


def as_json(data: Any) -> Any:
    """Return `data` as JSON would give it back: tuples as lists."""
    return strict_json.parse(strict_json.dumps(data), constants=True)


def to_json(data: Any) -> str:
    """Return `data` as indented JSON, with null for NaN and infinities."""
    return strict_json.dumps(data, indent=2, ascii_only=False) + "\n"


def to_yaml(data: Any) -> str:
    """Return `data` as YAML: block style outside, flow style for rows of plain values."""
    if not isinstance(data, dict) or not data:
        return _dumped(data)
    return "".join(_entry(key, value) for key, value in data.items())


def _dumped(data: Any, *, flow: bool = False) -> str:
    return yaml.dump(
        data,
        Dumper=_RowDumper,
        default_flow_style=flow,
        sort_keys=False,
        width=_WIDTH,
        allow_unicode=True,
    )


def _entry(key: Any, value: Any) -> str:
    if not str(key).isidentifier():
        return _dumped({key: value})
    if lines := _lines(value):
        return "\n".join([f"{_scalar(key)}:", *lines, ""])
    if isinstance(value, int | float | None) or str(value).isidentifier():
        return f"{_scalar(key)}: {_scalar(value)}\n"
    return _dumped({key: value})


def _lines(values: Any) -> list[str]:
    """Return the lines of a list of rows, or of lists of them; none for anything else.

    The blocks of architectures are such rows, for which PyYAML takes ten times as long.
    """
    found: list[str] = []
    for value in values if isinstance(values, list) else ():
        lines = ["[]"] if value == [] else _lines(value) or _row(value)
        if not lines:
            return []
        found += [f"{'  ' if i else '- '}{line}" for i, line in enumerate(lines)]
    return found


def _row(value: Any) -> list[str]:
    """Return the line of a mapping of plain values; none for anything else."""
    if not isinstance(value, dict) or not value:
        return []
    if not all(v is None or isinstance(v, str | int | float) for v in value.values()):
        return []
    line = _line(tuple(value.items()), (*map(type, value), *map(type, value.values())))
    return [line] if line else []


@lru_cache(maxsize=1 << 13)
def _line(items: tuple[tuple[Any, Any], ...], _: tuple[type, ...]) -> str:
    """Return a row of plain values, "" if it is too long; types distinguish 1, 1.0 and true."""
    if not all(str(key).isidentifier() for key, _ in items):
        return ""
    line = ", ".join(f"{_scalar(key)}: {_scalar(value)}" for key, value in items)
    return f"{{{line}}}" if len(line) < _WIDTH // 2 and "\n" not in line else ""


@lru_cache(maxsize=1 << 14, typed=True)
def _scalar(value: str | float | None) -> str:
    """Return a plain value as it is written in a row."""
    return _dumped([value], flow=True)[1:-2]


class _RowDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # as above
    """Writes a mapping of plain values inside a list as one row."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        """Write lists of scalars on one line, and mappings of scalars and such lists as rows."""
        node = super().represent_sequence(tag, sequence, flow_style)
        for child in node.value:
            if isinstance(child, yaml.MappingNode) and all(
                isinstance(value, yaml.ScalarNode) or _is_short_list(value)
                for _, value in child.value
            ):
                child.flow_style = True
        node.flow_style = all(isinstance(child, yaml.ScalarNode) for child in node.value)
        return node


def _is_short_list(node: Any) -> bool:
    return isinstance(node, yaml.SequenceNode) and all(
        isinstance(value, yaml.ScalarNode) for value in node.value
    )


# Texts read from a file have a class of their own, `FromFile`.
_RowDumper.add_multi_representer(str, lambda dumper, text: dumper.represent_str(str(text)))
