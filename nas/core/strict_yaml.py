"""Read YAML safely: duplicate keys, deep nesting and too many values are rejected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from nas.core.errors import first_line
from nas.core.strict_json import DEEPEST, MAX_DIGITS, Malformed
from nas.core.text import shown

MAX_VALUES = 2_000_000
"""The most values in a file, each counted as often as aliases repeat it."""

_TOO_DEEP = f"is nested deeper than {DEEPEST} levels"
_TOO_MANY = f"has more than {MAX_VALUES:,} values, counted as often as aliases repeat them"
_TOO_LONG = f"has a number of more than {MAX_DIGITS} digits"

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MappingWithLines(dict[str, Any]):
    """A mapping from a YAML file, with the line of each of its keys."""

    lines: Mapping[str, int]


def changed(content: Mapping[str, Any], **values: Any) -> MappingWithLines:
    """Return `content` updated with `values`; it keeps its lines."""
    made = MappingWithLines({**content, **values})
    made.lines = getattr(content, "lines", {})
    return made


def without(content: Mapping[str, Any], *keys: str) -> MappingWithLines:
    """Return `content` without `keys`; it keeps its lines."""
    made = changed(content)
    for key in keys:
        made.pop(key, None)
    return made


def parse(text: str) -> Any:
    """Return the value of a YAML text; its mappings are `MappingWithLines`.

    Raises:
        Malformed: with the problem, and its line if known.
    """
    try:
        _check_cost(text)
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise Malformed(error.problem or "is not YAML", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:
        raise Malformed(first_line(error)) from None


class _StrictLoader(_Parser):  # type: ignore[misc]  # chosen at run time
    """Loads mappings as `MappingWithLines`, and rejects what Python cannot represent."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build one value; one that Python cannot read is a YAML error with its line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise _refused(f"cannot read this value ({error})", node.start_mark) from None

    def construct_mapping_with_lines(self, node: yaml.MappingNode) -> MappingWithLines:
        """Build one mapping that knows its lines."""
        result = MappingWithLines()
        lines = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in result:
                raise _refused(f"key {shown(key)} is given twice", key_node.start_mark)
            result[key] = self.construct_object(value_node, deep=True)
            lines[key] = key_node.start_mark.line + 1
        result.lines = lines
        return result

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """Build a whole number, unless it is too long."""
        if len(node.value) > MAX_DIGITS:
            raise _refused(_TOO_LONG, node.start_mark)
        return int(self.construct_yaml_int(node))


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _StrictLoader.construct_mapping_with_lines)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_whole)


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is still open: the values before it, and its levels so far."""

    anchor: str | None
    before: int
    levels: int = 1


def _check_cost(text: str) -> None:
    """Reject deep nesting, and excessive expansion of aliases, before building anything."""
    count, around = 0, [_Open(None, 0)]
    known: dict[str | None, tuple[int, int]] = {}
    for event in yaml.parse(text, _Parser):
        size = levels = 0
        match event:
            case yaml.CollectionStartEvent():
                around.append(_Open(event.anchor, count))
                size = 1
            case yaml.CollectionEndEvent():
                closed = around.pop()
                levels = closed.levels
                known[closed.anchor] = (count - closed.before, levels)
            case yaml.ScalarEvent():
                size = 1
            case yaml.AliasEvent():
                size, levels = known.get(event.anchor, (1, 0))
        count += size
        around[-1].levels = max(around[-1].levels, levels + 1)
        if len(around) + levels > DEEPEST + 1:
            raise _refused(_TOO_DEEP, event.start_mark)
        if count > MAX_VALUES:
            raise _refused(_TOO_MANY, event.start_mark)
