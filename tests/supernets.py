"""Supernets of the tiny space, trained briefly."""

from pathlib import Path
from typing import Any

from nas.space.file import load_space
from nas.training.job import TrainingJob

SPACE = Path(__file__).parent / "data" / "tiny.yaml"
DATA = "shapes:count=64,classes=2"


def job(*, epochs: int = 1, recipe: str = "quick:batch=16", **given: Any) -> TrainingJob:
    """Return the training of such a supernet."""
    from nas.supernet.run import plan_supernet
    from nas.training.data import load_data
    from nas.training.recipe_files import find_recipe
    from nas.training.recipes import adapt

    how = adapt(find_recipe(recipe), epochs=epochs)
    return plan_supernet(load_space(SPACE), load_data(DATA), how, **given)


def trained(folder: Path, **given: Any) -> Path:
    """Train such a supernet in `folder`, and return the folder."""
    from nas.supernet.run import train_supernet

    train_supernet(job(**given), str(SPACE), folder)
    return folder
