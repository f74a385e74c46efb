"""Hardware-aware neural architecture search for mobile CNNs.

The names below are the library; each is imported when it is first asked for, so that the command
line starts quickly and a target device needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from nas.core.errors import missing_package
from nas.network.cost import cost  # at once: the module of the same name would hide it otherwise

if TYPE_CHECKING:
    __version__: str
    from nas.accuracy.predictor import load_accuracy_model
    from nas.core.errors import NasError
    from nas.exporting.export import export
    from nas.latency.file import load_table
    from nas.models.build import build_model
    from nas.network.blocks import Architecture, Block
    from nas.network.lowering import lower
    from nas.searching.config import SearchConfig
    from nas.searching.loop import search
    from nas.searching.pareto import pareto_front
    from nas.searching.problem import Constraint, Objective
    from nas.searching.runs.folder import find_architecture as load_architecture
    from nas.searching.runs.stored import read_run as load_run
    from nas.space.file import load_space
    from nas.training.data import load_data
    from nas.training.pretrained import load_weights
    from nas.training.run import train

_HOMES = {
    "Architecture": "nas.network.blocks",
    "Block": "nas.network.blocks",
    "Constraint": "nas.searching.problem",
    "NasError": "nas.core.errors",
    "Objective": "nas.searching.problem",
    "SearchConfig": "nas.searching.config",
    "build_model": "nas.models.build",
    "export": "nas.exporting.export",
    "load_accuracy_model": "nas.accuracy.predictor",
    "load_architecture": "nas.searching.runs.folder:find_architecture",
    "load_data": "nas.training.data",
    "load_run": "nas.searching.runs.stored:read_run",
    "load_space": "nas.space.file",
    "load_table": "nas.latency.file",
    "load_weights": "nas.training.pretrained",
    "lower": "nas.network.lowering",
    "pareto_front": "nas.searching.pareto",
    "search": "nas.searching.loop",
    "train": "nas.training.run",
}
"""The modules that have the names, some by another name after a colon."""

__all__ = [
    "Architecture",
    "Block",
    "Constraint",
    "NasError",
    "Objective",
    "SearchConfig",
    "build_model",
    "cost",
    "export",
    "load_accuracy_model",
    "load_architecture",
    "load_data",
    "load_run",
    "load_space",
    "load_table",
    "load_weights",
    "lower",
    "pareto_front",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name == "__version__":
        from nas.core.versions import version_of

        return version_of("nas") or "0"
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module, _, other = _HOMES[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by=f"nas.{name}") from None


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
