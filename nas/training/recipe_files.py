"""Find a recipe by what a user writes: a name, a name with options, or a file."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nas.core import strict_json
from nas.core.data import as_json, exists, read_mapping
from nas.core.errors import BadValue, MissingPackage, UnknownName, unknown
from nas.core.plugins import Plugin
from nas.core.schema import SCHEMA, Reader
from nas.core.strict_yaml import MappingWithLines, changed, without
from nas.training.augment import Augment
from nas.training.box_augment import BoxAugment
from nas.training.recipes import RECIPES, Recipe, adapt, as_plain

_FILES = (".yaml", ".yml", ".json")
_LENGTHS = ("epochs", "batch", "accumulate", "lr")
"""Options that mean what the flags of `nas train` mean: the rest of the recipe follows."""
_AUGMENT = tuple(f.name for f in fields(Augment))
_BOXES = tuple(f.name for f in fields(BoxAugment))
_PARTS: Mapping[str, tuple[str, ...]] = {"augment": _AUGMENT, "boxes": _BOXES}
_PLAIN = tuple(f.name for f in fields(Recipe) if f.name not in ("name", "auto", *_PARTS))
_KNOWN = tuple(dict.fromkeys((*_PLAIN, *_AUGMENT, *_BOXES)))
_NUMBERS = tuple(
    f.name for kind in (Recipe, Augment, BoxAugment) for f in fields(kind) if f.type is float
)


def find_recipe(text: str) -> Recipe:
    """Return the recipe that `text` means; see `load_recipe`.

    Raises:
        NasError: as `load_recipe` does.
        MissingPackage: if its augmentation needs a package that is not installed.
    """
    recipe = load_recipe(text)
    if recipe.augment.randaugment is not None and find_spec("kornia") is None:
        raise MissingPackage(
            f"recipe {recipe.name} needs kornia for RandAugment; install it: "
            "pip install 'nas[data]', or give randaugment=none, as in --recipe "
            f"{recipe.name.partition(':')[0]}:randaugment=none"
        )
    return recipe


def load_recipe(text: str) -> Recipe:
    """Return the recipe of "quick", of "quick:lr=0.003,flip=true", or of the file "my.yaml".

    Options follow a file as they follow a name. `epochs`, `batch`, `accumulate` and `lr` adapt the
    recipe as `adapt` does, unless what it would change is an option, too; the others replace a
    value. `randaugment` is none, or two numbers in quotes: `randaugment="2,9"`.

    Raises:
        UnknownName: if there is no such recipe or option; it names the closest.
        BadFile: if the file cannot be read, or a value is wrong, naming the line and the key.
    """
    if _is_path(text) and exists(Path(text)):
        return read_recipe(Path(text))
    plugin = Plugin.parse(text)
    if _is_path(plugin.name):
        recipe = read_recipe(Path(plugin.name))
    elif plugin.name in RECIPES:
        recipe = RECIPES[plugin.name]()
    else:
        raise _unknown(plugin.name)
    return _with_options(recipe, plugin) if plugin.options else recipe


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a YAML or JSON file; it is called like the file unless it says a name.

    What it leaves open (`auto`) is not open where it has another value than in the recipe `auto`.

    Raises:
        BadFile: if it cannot be read, or a key is unknown, missing or wrong, naming line and key.
    """
    content = _with_numbers(without(read_mapping(path), "schema"))
    for part in _PARTS:
        if isinstance(inside := content.get(part), Mapping):
            content = changed(content, **{part: _with_numbers(inside)})
    found = Reader(path).record(changed(content, name=content.get("name", path.stem)), Recipe)
    usual = RECIPES["auto"]()
    return replace(
        found, auto=tuple(n for n in found.auto if _value_of(found, n) == _value_of(usual, n))
    )


def _value_of(recipe: Recipe, name: str) -> Any:
    return getattr(recipe if hasattr(recipe, name) else recipe.augment, name)


def to_mapping(recipe: Recipe) -> dict[str, Any]:
    """Return the content of the file that `read_recipe` reads, but for the name."""
    content = as_plain(recipe)
    del content["name"]
    return {"schema": SCHEMA, **content}


def fingerprint(recipe: Recipe) -> str:
    """Return a text that two recipes share if they differ in nothing but their names."""
    content = strict_json.dumps(to_mapping(recipe))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def uncapped(recipe: Recipe) -> Recipe:
    """Return an adapted `recipe` with the warm-up that its preset has, where its length cut that.

    `adapt` then gives it the warm-up of a longer training.
    """
    text = str(recipe.name)
    if text.partition(":")[0] not in RECIPES or recipe.warmup != recipe.epochs / 10:
        return recipe
    return replace(recipe, warmup=load_recipe(text).warmup)


def pinned(text: str) -> str:
    """Return what names a recipe for good: the name of a preset, else the fingerprint."""
    return text if text in RECIPES else fingerprint(load_recipe(text))


def _is_path(text: str) -> bool:
    return os.sep in text or Path(text).suffix in _FILES


def _unknown(name: str) -> UnknownName:
    error = unknown("recipe", name, RECIPES)
    end = "" if str(error).endswith("?") else "; a file's name ends with .yaml or .json"
    return UnknownName(f"{error}{end}")


def _with_options(recipe: Recipe, plugin: Plugin) -> Recipe:
    """Return `recipe` with the options of a text."""
    for key in plugin.options:
        if key not in _KNOWN:
            raise UnknownName(f"recipe {plugin.name}: {unknown('option', key, _KNOWN)}")
    given = {key: _value(text) for key, text in plugin.options.items()}
    if not isinstance(given.get("randaugment"), list | None):
        raise BadValue(
            f"recipe {plugin.name}: randaugment is none, or operations and magnitude in quotes, as "
            f'in randaugment="2,9", not {plugin.options["randaugment"]!r}'
        )
    content = as_json(asdict(recipe))
    content |= {key: given[key] for key in _PLAIN if key in given}
    content["auto"] = [key for key in content["auto"] if key not in given]
    order = ("augment", "boxes") if recipe.boxes != BoxAugment() else ("boxes", "augment")
    owners = {key: part for part in order for key in _PARTS[part]}  # `flip` is in both
    for key, value in given.items():
        if part := owners.get(key):
            content[part][key] = value
    made = Reader(f"recipe {plugin}").record({**content, "name": str(plugin)}, Recipe)
    lengths = {key: getattr(made, key) for key in _LENGTHS if key in given}
    kept = {key: getattr(made, key) for key in ("warmup", "decay_every") if key in given}
    plain = replace(made, **{key: getattr(recipe, key) for key in lengths})
    return replace(adapt(plain, **lengths), **kept)


def _value(text: str) -> Any:
    """Return the value that a text means: true, none, a number, a list of numbers, or itself."""
    known: Mapping[str, Any] = {"true": True, "false": False, "none": None}
    if text.lower() in known:
        return known[text.lower()]
    if "," in text:
        return [_value(part.strip()) for part in text.split(",")]
    return _number(text)


def _number(text: Any) -> Any:
    """Return the number that a text is, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _with_numbers(content: Mapping[str, Any]) -> MappingWithLines:
    """Return `content` with 1e-5 as a number, which is a text in YAML 1.1."""
    texts = {k: v for k, v in content.items() if k in _NUMBERS and isinstance(v, str)}
    return changed(content, **{key: _number(text) for key, text in texts.items()})
