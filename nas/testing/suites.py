"""The checks of every kind of plugin, and how to run them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature

from nas.core import plugins
from nas.core.errors import NasError, unknown
from nas.core.plugins import Plugin
from nas.network.kinds import BlockKind

Check = Callable[[str], None]
"""Takes the text of a plugin, and raises AssertionError where it breaks its contract."""

SUITES: Mapping[str, str] = {
    "strategies": "nas.testing.strategies",
    "evaluators": "nas.testing.evaluators",
    "backends": "nas.testing.backends",
    "blocks": "nas.testing.blocks",
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
    """Return the kind of a plugin, by the parameters of its `create`.

    Raises:
        NasError: if it is not found, or of no kind that has a suite.
    """
    plugin = Plugin.parse(text)
    create = plugins.load(_home(plugin.name), plugin.name)
    names = signature(create).parameters
    if {"threads", "dtype"} <= names.keys():
        return "backends"
    for first, kind in (("problem", "strategies"), ("space", "evaluators")):
        if next(iter(names), "") == first:
            return kind
    if signature(create).return_annotation in (BlockKind, "BlockKind"):
        return "blocks"
    kinds = ", ".join(SUITES)
    raise NasError(f"{text}: its create does not tell what kind it is; name one of: {kinds}")


def _home(name: str) -> str:
    """Return the kind that has a plugin of this name; any for a dotted path."""
    return next((kind for kind in SUITES if name in plugins.available(kind)), "strategies")


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
