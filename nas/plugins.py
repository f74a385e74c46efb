"""Find plugins: a plugin is a file with a one-line docstring and a function `create`.

The file's name is its registration. Listing a kind reads the files' first lines and imports
nothing; a dotted path ("my_package.my_evaluator") is accepted wherever a name is.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import NasError, UnknownName, missing_package, unknown

KINDS = ("strategies", "evaluators", "exporters", "backends", "dialects", "runners")


_KEY = r"[A-Za-z_]\w*\s*="
_QUOTED = r'"(?:[^"]|"")*"'
_PAIR = rf"\s*{_KEY}(?>\s*{_QUOTED}\s*(?=,|\Z)|[^,]*)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin as the user names it: "surrogate:my.npz" with its options as text."""

    name: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Plugin":
        """Return the plugin of "NAME", "NAME:PATH", or either with ",key=value" after it.

        What comes first and has no key is the option `path`. A path may hold colons, commas and
        equals signs: only what follows its last part without a key is taken for options. A path
        or a value in double quotes is taken as it is, and a quote in it is written twice:
        `imagefolder:"/data/a b,c=d",val=0.2`.

        Raises:
            NasError: if a part after the first option has no key, or a quote does not end.
        """
        name, _, rest = text.partition(":")
        path, pairs = _path_and_pairs(rest.strip().rstrip(","))
        for pair in pairs:
            if "=" not in pair:
                raise NasError(f"{text!r}: expected NAME:key=value, found {pair!r} without a value")
        keyed = [pair.partition("=") for pair in pairs]
        options = {key.strip(): _unquoted(value.strip()) for key, _, value in keyed}
        return cls(name=name.strip(), options={**({"path": path} if path else {}), **options})

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        rest = ",".join(f"{key}={_quoted(value)}" for key, value in self.options.items())
        return f"{self.name}:{rest}" if rest else self.name


def _path_and_pairs(text: str) -> tuple[str, list[str]]:
    """Return the path that `text` begins with, or nothing, and its parts after that."""
    if re.match(rf"\s*{_KEY}", text) or not text:
        return "", _parts(text)
    if quoted := re.match(rf"({_QUOTED})\s*(?:,|\Z)", text):
        return _unquoted(quoted[1]), _parts(text[quoted.end() :])
    pairs = re.search(rf"(?:,{_PAIR})*\Z", text)
    assert pairs is not None  # it may be empty
    return _unquoted(text[: pairs.start()].strip()), _parts(pairs[0])


def _parts(text: str) -> list[str]:
    """Return what stands between the commas of `text`, but for those in quoted values."""
    return re.findall(rf"{_PAIR}|[^,]+", text)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    if not re.fullmatch(_QUOTED, text):
        raise NasError(f"{text}: expected one value in double quotes, with its own written twice")
    return text[1:-1].replace('""', '"')


def _quoted(text: str) -> str:
    """Return `text` as `parse` takes it for the value of an option, in quotes where it must."""
    plain = text == text.strip() and not re.search('[,"]', text)
    return text if plain else '"' + text.replace('"', '""') + '"'


def available(kind: str) -> Mapping[str, str]:
    """Return the plugins of one kind with their one-line descriptions, importing nothing."""
    folder = Path(__file__).parent.joinpath(*kind.split("."))
    return {
        module.name: _first_line(folder / f"{module.name}.py")
        for module in pkgutil.iter_modules([str(folder)])
        if not module.name.startswith("_")
    }


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def load(kind: str, name: str) -> Callable[..., Any]:
    """Return the `create` function of a plugin, by its name or its dotted path.

    Raises:
        UnknownName: if there is no such plugin; it lists the closest ones.
        MissingPackage: if it needs a package that is not installed; it says what to install.
    """
    dotted = "." in name
    if not dotted and name not in available(kind):
        raise unknown(kind_in_singular(kind), name, available(kind))
    path = name if dotted else f"nas.{kind}.{name}"
    what = f"{kind_in_singular(kind)} {name}"
    if not all(part.isidentifier() for part in path.split(".")):
        raise NasError(f"{what}: expected a name or a dotted path, as in my_package.my_module")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if dotted and f"{path}.".startswith(f"{error.name}."):
            raise UnknownName(f"{what}: Python finds no module {error.name}") from None
        raise missing_package(error, wanted_by=what) from None
    if not hasattr(module, "create"):
        raise NasError(f"{what}: the module has no function create")
    create: Callable[..., Any] = module.create
    return create


def takes(kind: str, name: str, option: str) -> bool:
    """Tell whether a plugin's `create` has an option.

    Raises:
        NasError: as `load` does.
    """
    return option in inspect.signature(load(kind, name)).parameters


def kind_in_singular(kind: str) -> str:
    """Return "strategy" for "strategies", "dataset" for "nn.datasets"."""
    last = kind.rpartition(".")[2]
    return last[:-3] + "y" if last.endswith("ies") else last.removesuffix("s")


def create(kind: str, plugin: Plugin, *given: Any, **named: Any) -> Any:
    """Call a plugin's `create` with `given`, `named`, and the options of `plugin`.

    An option takes the type that the function's signature states: int, float, bool or str.

    Raises:
        NasError: if an option is unknown, or not of its type.
    """
    function = load(kind, plugin.name)
    parameters = inspect.signature(function, eval_str=True).parameters
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
    return function(*given, **{k: v for k, v in named.items() if k in parameters}, **options)


def _convert(text: str, wanted: Any, place: str) -> Any:
    try:
        if wanted is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return {int: int, float: float}.get(wanted, str)(text)
    except (KeyError, ValueError):
        raise NasError(f"{place} must be {wanted.__name__}, not {text!r}") from None
