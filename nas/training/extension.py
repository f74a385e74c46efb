"""More epochs of the same recipe for a training that its folder holds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path
from typing import Any

from nas.core.schema import Reader
from nas.training.recipes import Recipe
from nas.training.schedule import learning_rate

_STEPS = 1000
"""Steps of an epoch, where only the rate after a whole epoch is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """A former length of a training: it was to have `epochs`, of which `done` were finished."""

    epochs: int
    done: int


def is_extension(old: Recipe, new: Recipe) -> bool:
    """Tell whether `new` is `old` with more epochs, and its schedule for that length.

    A warm-up that was a tenth of the old length may be longer, and a staircase keeps its number of
    stairs, as `adapt` has it.
    """
    lengths: Any = {key: getattr(new, key) for key in ("epochs", "warmup", "decay_every")}
    return (
        new.epochs > old.epochs
        and replace(old, **lengths) == new  # whatever their names are
        and old.warmup in (new.warmup, min(new.warmup, old.epochs / 10))
        and isclose(old.decay_every * new.epochs, new.decay_every * old.epochs)
    )


def extension(
    found: Mapping[str, Any], wanted: Mapping[str, Any], *, done: int, path: Path
) -> str | None:
    """Return what to say of a training with the settings `found` that gets the recipe of `wanted`.

    `done` epochs are finished; `path` is the file of `found`. None if its recipe is not the same
    with more epochs.

    Raises:
        BadFile: if `found` holds no recipe.
    """
    old = Reader(path).get(found, "recipe", Recipe)
    new = Reader(path).get(wanted, "recipe", Recipe)
    if not is_extension(old, new):
        return None
    rate = learning_rate(new, step=done * _STEPS, steps_an_epoch=_STEPS)
    return (
        f"{path.parent}: extending the training from {old.epochs} to {new.epochs} epochs; the "
        f"learning rate follows the schedule of {new.epochs} epochs from here, after epoch {done}, "
        f"where it is {rate:.3g}"
    )
