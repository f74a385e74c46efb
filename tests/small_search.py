"""Searches of a small space, by an accuracy model that answers in microseconds."""

from pathlib import Path
from typing import Any

from nas.core.storage import Place
from nas.searching import loop
from nas.searching.config import SearchConfig
from nas.searching.loop import Run

WORDS = ("--space", "mnasnet_b0", "--evaluator", "surrogate", "--seed-arch", "none")


def small(**settings: Any) -> SearchConfig:
    """Return the settings of such a search, changed by `settings`."""
    usual = {"space": "mnasnet_b0", "evaluator": "surrogate", "seed_arch": ()}
    return SearchConfig(**{**usual, **settings})


def search(
    config: SearchConfig | None = None, *, out: Place | Path | str | None = None, **settings: Any
) -> Run:
    """Search as `nas.search` does, by default with the settings of `small`."""
    return loop.search(config or small(), out=out, **settings)
