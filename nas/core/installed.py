"""Find the plugins of installed packages by their entry points.

A package lists them in its pyproject.toml, in a group for each kind:

    [project.entry-points."nas.strategies"]
    annealing = "my_package.annealing"

Nothing is imported until a plugin is used.
"""

import ast
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from nas.core.errors import NasError

PREFIX = "nas."
"""The prefix of the groups of entry points, before the kind."""


@cache
def _groups() -> Mapping[str, tuple[EntryPoint, ...]]:
    """Return the entry points by kind of plugin; reading them takes some milliseconds."""
    found = entry_points()
    groups = (group for group in found.groups if group.startswith(PREFIX))
    return {group.removeprefix(PREFIX): tuple(found.select(group=group)) for group in groups}


def installed(kind: str) -> Mapping[str, EntryPoint]:
    """Return the plugins of one kind that other packages provide, by name."""
    return {point.name: point for point in reversed(_groups().get(kind, ()))}


def described(point: EntryPoint) -> str:
    """Return the first line of a plugin's docstring, if it can be read, and its package."""
    package = f"{point.dist.name} {point.dist.version}" if point.dist else point.module
    line = _first_line(point)
    return f"{line} ({package})" if line else f"from {package}"


def place(kind: str, point: EntryPoint) -> tuple[str, str]:
    """Return the module of a plugin and the name of its function, `create` unless given.

    Raises:
        NasError: if several packages provide a plugin of this kind and name.
    """
    twins = [other for other in _groups().get(kind, ()) if other.name == point.name]
    if len({other.value for other in twins}) > 1:
        known = ", ".join(sorted(other.value for other in twins))
        raise NasError(f"{kind} {point.name}: several packages provide it; give one of: {known}")
    return point.module, point.attr or "create"


def _first_line(point: EntryPoint) -> str:
    if point.dist is None:
        return ""
    for end in (".py", "/__init__.py"):
        path = Path(str(point.dist.locate_file(point.module.replace(".", "/") + end)))
        try:
            text = path.read_text(encoding="utf-8")
            return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        except (OSError, SyntaxError, ValueError):
            continue
    return ""
