"""Settings that `nas train` takes from the training in its folder: all, if ARCH is omitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from nas.core.data import read_mapping
from nas.core.errors import NasError
from nas.core.run_folder import MARKS, TRAINING, is_begun
from nas.core.schema import Reader
from nas.core.storage import Place
from nas.network.blocks import Architecture
from nas.network.checkpoint import ARCH, SETTINGS, Triple
from nas.network.zoo import load_architecture
from nas.training.recipe_files import uncapped
from nas.training.recipes import RECIPES, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumedTraining:
    """A training that a folder holds: its architecture and settings.

    `weights` is the fingerprint of its initial weights, empty for random ones, `weights_name` what
    they were called, empty where the folder does not say it; `normalisation` is that of their
    images if it differs from the data's. `quantize` is whether it trains with quantization.
    """

    arch: Architecture
    recipe: Recipe
    data: str
    seed: int
    teacher: str
    weights: str
    weights_name: str = ""
    normalisation: tuple[Triple, Triple] | None = None
    quantize: bool = False


def find_resumed(out: Place | None) -> ResumedTraining | None:
    """Return the training in `out`; None if there is none.

    Raises:
        NasError: if its files are damaged, or the folder holds something else.
    """
    if out is None:
        return None
    with out.reading(*MARKS, ARCH) as folder:
        if not is_begun(folder, TRAINING):
            return None
        path = folder / SETTINGS
        found, read = read_mapping(path), Reader(path)
        return ResumedTraining(
            arch=load_architecture(folder / ARCH),
            recipe=read.get(found, "recipe", Recipe),
            data=read.get(read.get(found, "data", Mapping[str, Any]), "name", str),
            seed=read.get(found, "seed", int),
            teacher=_text(read, found, "teacher", "name"),
            weights=_text(read, found, "weights", "fingerprint"),
            weights_name=_weights_name(read, found.get("weights")),
            normalisation=_normalisation(read, found.get("weights")),
            quantize=read.get(found, "quantize", bool) if "quantize" in found else False,
        )


def _text(read: Reader, found: Any, key: str, inside: str) -> str:
    """Return a text of an entry that may be missing or null."""
    return read.get(found[key], inside, str) if found.get(key) else ""


def _weights_name(read: Reader, weights: Any) -> str:
    return read.get(weights, "name", str) if weights and "name" in weights else ""


def _normalisation(read: Reader, weights: Any) -> tuple[Triple, Triple] | None:
    if not weights or "mean" not in weights:
        return None
    return read.get(weights, "mean", Triple), read.get(weights, "deviation", Triple)


def is_default(name: str) -> bool:
    """Return whether the command was called without the option `name`."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.DEFAULT


def settings_of(resumed: ResumedTraining | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Return `flags`, completed by the settings of the training in --out.

    Raises:
        NasError: if there is no training.
    """
    if resumed is None:
        found = f"{flags['out']} holds no training" if flags["out"] else "there is no --out"
        raise NasError(
            f"ARCH is missing, and {found} to continue; give ARCH and --data, as in: "
            "nas train mobilenet_v3_small --data imagefolder:/path/to/images"
        )
    own = {name: getattr(resumed, name) for name in ("data", "seed", "teacher", "quantize")}
    own = {k: v for k, v in own.items() if is_default(k)}
    return flags | own | {"recipe": recipe_of(resumed, flags)}


def recipe_of(resumed: ResumedTraining, flags: Mapping[str, Any]) -> Any:
    """Return the recipe of the training in --out, unless another is given.

    A preset that depends on the number of steps stays as it was when a training is extended.
    """
    asked = flags["recipe"]
    follows = asked == resumed.recipe.name and asked in RECIPES and bool(RECIPES[asked]().auto)
    if not is_default("recipe") and not follows:
        return asked
    same_length = flags["epochs"] in (None, resumed.recipe.epochs)
    return resumed.recipe if same_length else uncapped(resumed.recipe)
