"""Find plugins: a plugin is a file with a one-line docstring and a function `create`.

The name of the file is the name of the plugin. Listing plugins parses the files without importing
them. A dotted path ("my_package.my_evaluator") is accepted wherever a name is. Importing it runs
its code, so a path that was read from a file (`FromFile`) is rejected unless the user allows it.
"""

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, TypeVar

from nas.core.contracts import check_call, check_parts
from nas.core.data import read_foreign
from nas.core.errors import NasError, UnknownName, missing_package, unknown
from nas.core.installed import described, installed, place
from nas.core.plugin_text import Plugin as Plugin
from nas.core.schema import FromFile, Reader, check_keys
from nas.core.text import shown

KINDS: Mapping[str, str] = {
    "strategies": "searching.strategies",
    "evaluators": "searching.evaluators",
    "exporters": "exporting.formats",
    "backends": "latency.backends",
    "devices": "latency.devices",
    "dialects": "latency.dialects",
    "runners": "core.workers.runners",
    "datasets": "training.datasets",
    "heads": "network.heads",
    "blocks": "network.kinds",
}
"""The package below `nas` that holds the plugins of each kind, one file per plugin."""


T = TypeVar("T")
_ALLOWING: ContextVar[bool] = ContextVar("allowing", default=False)


def available(kind: str) -> Mapping[str, str]:
    """Return the plugins of one kind with their one-line descriptions, importing nothing.

    Those of other packages come last; see `nas.core.installed`.
    """
    others = {name: described(point) for name, point in installed(kind).items()}
    own = {name: _first_line(path) for name, path in _files(kind).items()}
    return {**own, **{name: line for name, line in others.items() if name not in own}}


def _files(kind: str) -> Mapping[str, Path]:
    folder = Path(__file__).parents[1].joinpath(*KINDS[kind].split("."))
    names = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return {name: folder / f"{name}.py" for name in names if not name.startswith("_")}


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def load(kind: str, name: str) -> Callable[..., Any]:
    """Return the `create` function of a plugin, by its name or its dotted path.

    Raises:
        UnknownName: if there is no such plugin; it lists the closest ones.
        MissingPackage: if it needs a package that is not installed; it says what to install.
        NasError: if a dotted path comes from a file and the user does not allow it.
    """
    dotted = "." in name
    path, function = _place(kind, name)
    what = f"{kind_in_singular(kind)} {name}"
    if not all(part.isidentifier() for part in path.split(".")):
        raise NasError(f"{what}: expected a name or a dotted path, as in my_package.my_module")
    if dotted:
        check_named(kind, name)
        _look_here(name.partition(".")[0])
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if dotted and f"{path}.".startswith(f"{error.name}."):
            raise UnknownName(f"{what}: Python finds no module {error.name}") from None
        raise missing_package(error, wanted_by=what) from None
    if not hasattr(module, function):
        raise NasError(f"{what}: the module has no function {function}")
    create: Callable[..., Any] = getattr(module, function)
    return create


def _place(kind: str, name: str) -> tuple[str, str]:
    """Return the module of a plugin, and the name of its function."""
    if "." in name:
        return name, "create"
    if name in (files := _files(kind)):
        return f"nas.{KINDS[kind]}.{name}", "create"
    if name in (others := installed(kind)):
        return place(kind, others[name])
    raise unknown(kind_in_singular(kind), name, {*files, *others})


def takes(kind: str, name: str, option: str) -> bool:
    """Return whether a plugin's `create` has an option.

    Raises:
        NasError: as `load` does.
    """
    return option in inspect.signature(load(kind, name)).parameters


def with_option(kind: str, text: str, option: str, value: str) -> str:
    """Return the `text` of a plugin with one more option.

    Raises:
        NasError: if the plugin does not take it, or `text` gives it another value.
    """
    plugin = Plugin.parse(text)
    if option not in plugin.options and not takes(kind, plugin.name, option):
        raise NasError(f"{kind_in_singular(kind)} {plugin.name} does not take {option}")
    if plugin.options.get(option, value) != value:
        raise NasError(f"{text} contradicts {option} {shown(value)}; give one of them")
    made = str(replace(plugin, options={**plugin.options, option: value}))
    return FromFile(made) if isinstance(text, FromFile) else made


def kind_in_singular(kind: str) -> str:
    """Return "strategy" for "strategies", "dataset" for "datasets", "block kind" for "blocks"."""
    if kind == "blocks":
        return "block kind"
    return kind[:-3] + "y" if kind.endswith("ies") else kind.removesuffix("s")


def create(kind: str, plugin: Plugin, *given: Any, **named: Any) -> Any:
    """Call a plugin's `create` with `given`, `named`, and the options of `plugin`.

    Options are converted to the types in the function's signature: int, float, bool or str.

    Raises:
        NasError: if an option is unknown or of the wrong type.
        BadPlugin: if the function or what it returns violates the contract of its kind.
    """
    what, function = f"{kind_in_singular(kind)} {plugin.name}", bound(kind, plugin, **named)
    check_call(kind, what, function, given)
    made = function(*given)
    check_parts(kind, what, made)
    return made


def bound(kind: str, plugin: Plugin, **named: Any) -> Callable[..., Any]:
    """Return the function that `create` calls with `given`, for repeated calls.

    Raises:
        NasError: as `create` does.
    """
    function = load(kind, plugin.name)
    parameters = inspect.signature(function, eval_str=True).parameters
    options = _options(kind, plugin, parameters, named)
    return partial(function, **{k: v for k, v in named.items() if k in parameters}, **options)


def beside(kind: str, plugin: Plugin, name: str, *given: Any) -> Any:
    """Call another function of a plugin's module with `given` and the options of `create`.

    Return None if there is no such function.

    Raises:
        NasError: as `create` does.
    """
    made = load(kind, plugin.name)
    function = getattr(sys.modules[made.__module__], name, None)
    parameters = inspect.signature(made, eval_str=True).parameters
    return function and function(*given, **_options(kind, plugin, parameters, {}))


def _options(
    kind: str, plugin: Plugin, parameters: Mapping[str, inspect.Parameter], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options of `plugin`, converted to the types in `parameters`."""
    known = {
        p.name: type(p.default) if p.annotation is p.empty else p.annotation
        for p in parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in named
    }
    options = {}
    for key, text in plugin.options.items():
        if key not in known:
            hint = "; a path with a comma goes in double quotes" if "path" in known else ""
            if key == "path":
                hint = f"; expected NAME:key=value, found {text!r} alone"
            raise NasError(
                f"{kind_in_singular(kind)} {plugin.name}: {unknown('option', key, known)}{hint}"
            )
        options[key] = _convert(text, known[key], f"{plugin.name}: {key}")
    for p in parameters.values():
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in {*named, *options}:
            raise NasError(f"{kind_in_singular(kind)} {plugin.name} needs {p.name}")
    return options


def _convert(text: str, wanted: Any, place: str) -> Any:
    try:
        if wanted is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return {int: int, float: float}.get(wanted, lambda same: same)(text)
    except (KeyError, ValueError):
        raise NasError(f"{place} must be {wanted.__name__}, not {text!r}") from None


# Permission to run code


def trusted(value: T) -> T:
    """Return `value` without any `FromFile`, as if the user had given it."""
    made: Any = value
    if isinstance(value, FromFile):
        made = str(value)
    elif is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if f.init]
        made = replace(value, **{name: trusted(getattr(value, name)) for name in names})
    elif isinstance(value, tuple):
        made = tuple(map(trusted, value))
    elif isinstance(value, Mapping):
        made = {key: trusted(inner) for key, inner in value.items()}
    return made  # type: ignore[no-any-return]  # of the same type


def check_allowed(text: str, what: str) -> None:
    """Reject `text` from a file unless the user's configuration allows it.

    Raises:
        NasError: with `what`, which says what it would run, and how to allow it.
    """
    if not isinstance(text, FromFile) or _ALLOWING.get():
        return
    if any(fnmatchcase(text, p) for p in _allowed()):
        return
    package, dot, _ = text.partition(".")
    pattern = f"{package}.*" if dot and package.isidentifier() else text
    raise NasError(
        f"{what} because a file says so. If you trust it, give `allow_plugins`, name it on the "
        f"command line, or write allow_plugins: ['{pattern}'] into {_configuration()}"
    )


def check_named(kind: str, text: str) -> None:
    """Reject a plugin, NAME:key=value, that a file names by a dotted path, unless allowed.

    Raises:
        NasError: as `check_allowed` does.
    """
    name = text.partition(":")[0]
    if "." in name and isinstance(text, FromFile):
        what = f"{kind_in_singular(kind)} {name} would run the Python module {name}"
        check_allowed(FromFile(name), what)


@contextmanager
def allowing(allowed: bool) -> Iterator[None]:
    """Let code that files name run inside the block, if the user `allowed` it."""
    token = _ALLOWING.set(allowed or _ALLOWING.get())
    try:
        yield
    finally:
        _ALLOWING.reset(token)


def _configuration() -> Path:
    """Return the path of the user's configuration."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "nas", "config.yaml")


def _allowed() -> Sequence[str]:
    """Return the patterns in the user's configuration, none if there is no such file."""
    path = _configuration()
    if not path.exists():
        return ()
    content = read_foreign(path)
    check_keys(content, known=("allow_plugins",), required=("allow_plugins",), place=str(path))
    allowed: tuple[str, ...] = Reader(path).get(content, "allow_plugins", tuple[str, ...])
    return allowed


# Plugins in working folders


class _InFolder:
    """Finds one package in one folder."""

    def __init__(self, package: str, folder: str) -> None:
        self.package, self.folder = package, folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the location of the package; nothing else is found."""
        return PathFinder.find_spec(name, [self.folder]) if name == self.package else None


@dataclass(frozen=True)
class Folders:
    """The plugin packages that were found in working folders, each with its folder.

    Unpickling this in another process makes them importable there, if the folders exist: send it
    before any object of a plugin.
    """

    of: Mapping[str, str]

    def __reduce__(self) -> tuple[Callable[..., "Folders"], tuple[dict[str, str]]]:
        """Return how another process rebuilds it."""
        return look_in, (dict(self.of),)


def folders() -> Folders:
    """Return the folders in which this process looks for plugin packages."""
    found = [finder for finder in sys.meta_path if isinstance(finder, _InFolder)]
    return Folders({finder.package: finder.folder for finder in found})


def look_in(where: Mapping[str, str]) -> Folders:
    """Make each package importable from its folder, unless it is found elsewhere."""
    known = folders().of
    for package, folder in where.items():
        if known.get(package) != folder:
            sys.meta_path.append(_InFolder(package, folder))
    return Folders(where)


def _look_here(package: str) -> None:
    """Make a package importable from the working folder, unless it is found elsewhere."""
    here = os.getcwd()
    if package in sys.modules or importlib.util.find_spec(package):
        return
    if PathFinder.find_spec(package, [here]):
        look_in({package: here})
