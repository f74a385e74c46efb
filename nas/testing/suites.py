"""The checks of every kind of plugin, and how to run them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import Signature, signature

from nas.core import plugins
from nas.core.errors import NasError, unknown
from nas.core.plugins import Plugin

Check = Callable[[str], None]
"""Takes the text of a plugin, and raises AssertionError where it breaks its contract."""

SUITES: Mapping[str, str] = {
    "strategies": "nas.testing.strategies",
    "evaluators": "nas.testing.evaluators",
    "backends": "nas.testing.backends",
    "blocks": "nas.testing.blocks",
    "exporters": "nas.testing.exporters",
    "runners": "nas.testing.runners",
}
"""The module that checks each kind."""


def checks(kind: str) -> tuple[Check, ...]:
    """Return the checks of one kind of plugins.

    Raises:
        NasError: if there is no suite for the kind.
    """
    if kind not in SUITES:
        raise unknown("kind of plugins with a suite", kind, SUITES)
    found: tuple[Check, ...] = import_module(SUITES[kind]).CHECKS
    return found


def kind_of_plugin(text: str) -> str:
    """Return the kind of a plugin: by its name, or by the signature of its `create`.

    Raises:
        NasError: if it is not found, or of no kind that has a suite.
    """
    name = Plugin.parse(text).name
    named = [kind for kind in SUITES if name in plugins.available(kind)]
    if len(named) == 1:
        return named[0]
    create = plugins.load((named or ["strategies"])[0], name)
    if kind := _of_signature(signature(create)):
        return kind
    kinds = ", ".join(SUITES)
    raise NasError(f"{text}: its create does not tell what kind it is; name one of: {kinds}")


def _of_signature(found: Signature) -> str:
    """Return the kind of a plugin by the parameters of its `create`, or by what it returns."""
    names, returned = found.parameters, found.return_annotation
    first = next(iter(names), "")
    if {"threads", "dtype"} <= names.keys():
        return "backends"
    if first in _FIRST:
        return _FIRST[first]
    if "workers" in names:
        return "runners"
    return _RETURNED.get(getattr(returned, "__name__", str(returned)), "")


_FIRST = {"problem": "strategies", "space": "evaluators"}
_RETURNED = {
    "BlockKind": "blocks",
    "Exporter": "exporters",
    "FileExporter": "exporters",
    "FolderExporter": "exporters",
}


def check(text: str, *, kind: str = "") -> None:
    """Run all checks of a plugin, "NAME:key=value"; its `kind` is found out unless given.

    Raises:
        AssertionError: if it breaks its contract; the message says how.
        NasError: if it is not found, or lacks a part.
    """
    for one in checks(kind or kind_of_plugin(text)):
        try:
            one(text)
        except AssertionError as error:
            what = (one.__doc__ or one.__name__).partition("\n")[0].rstrip(".")
            raise AssertionError(f"{text}: {what}: {error}") from error
