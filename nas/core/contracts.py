"""The contract of every kind of plugin, checked when a plugin is created.

Only the author of a plugin can correct it, so a broken contract ends the work with one line that
names the plugin, what was found, and what was expected.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.core.errors import BadPlugin

VALUE = None
"""In the place of a number of arguments: the part is not a method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """How `create` of a kind of plugin is called, and the parts of what it returns.

    `parts` gives the number of positional arguments of each method. `said` names the class that
    documents them.
    """

    create: str
    parts: Mapping[str, int | None]
    said: str


CONTRACTS: Mapping[str, Contract] = {
    "strategies": Contract(
        create="create(problem, *, seed, ...)",
        parts={"batch": VALUE, "ask": 1, "tell": 1},
        said="nas.searching.problem.Strategy",
    ),
    "evaluators": Contract(
        create="create(space, *, ...)",
        parts={"provides": VALUE, "seconds": VALUE, "note": VALUE, "deviation": 1, "__call__": 1},
        said="nas.searching.problem.Evaluator",
    ),
    "exporters": Contract(
        create="create(*, ...)",
        parts={"suffix": VALUE, "holds_weights": VALUE, "__call__": 2},
        said="nas.exporting.formats.Exporter",
    ),
    "backends": Contract(
        create="create(*, threads, dtype, ...)",
        parts={"runtime": VALUE, "suffix": VALUE, "compile": 1, "open": 1},
        said="nas.latency.backends.Backend",
    ),
    "devices": Contract(
        create="create(*, ...)",
        parts={"measure": 1},
        said="nas.latency.measure.run.Device",
    ),
    "dialects": Contract(
        create="create(*, ...)",
        parts={"name": VALUE, "spread": VALUE, "units": 1, "keys": 1},
        said="nas.latency.dialect.Dialect",
    ),
    "runners": Contract(
        create="create(*, workers, ...)",
        parts={"workers": VALUE, "map": 3, "close": 0},
        said="nas.core.workers.runner.Runner",
    ),
    "heads": Contract(
        create="create(backbone, *, classes, ...)",
        parts={"named_blocks": 0, "detector": VALUE},
        said="nas.network.blocks.Architecture",
    ),
    "blocks": Contract(
        create="create(*, ...)",
        parts={"lower": 2, "choices": VALUE, "in_spaces": VALUE},
        said="nas.network.kinds.BlockKind",
    ),
    "datasets": Contract(
        create="create(*, ..., seed)",
        parts={"classes": VALUE, "train": VALUE, "val": VALUE, "fingerprint": VALUE},
        said="nas.training.data.Source",
    ),
}
"""The contracts, by kind of plugin."""


def check_call(kind: str, what: str, create: Any, given: Sequence[object]) -> None:
    """Reject a function `create` that cannot be called with `given` and its bound arguments.

    Raises:
        BadPlugin: with the signature it must have.
    """
    try:
        signature = inspect.signature(create)
        signature.bind(*given)
    except TypeError as error:
        wanted = CONTRACTS[kind].create
        raise BadPlugin(
            f"{what}: its create has the wrong signature ({error}); expected {wanted}"
        ) from None


def check_parts(kind: str, what: str, made: object) -> None:
    """Reject a plugin that lacks parts of its kind, or whose methods take other arguments.

    Raises:
        BadPlugin: naming them, and the class that documents them.
    """
    contract = CONTRACTS[kind]
    missing = [part for part in contract.parts if not hasattr(made, part)]
    if missing:
        found = f"{what} lacks {', '.join(missing)}" if made is not None else f"{what} is None"
        raise BadPlugin(f"{found}; {contract.said} describes what it needs")
    for part, count in contract.parts.items():
        if count is not VALUE:
            _check_method(f"{what}: {part}", getattr(made, part), count, contract.said)


def _check_method(what: str, method: Any, count: int, said: str) -> None:
    if not callable(method):
        raise BadPlugin(f"{what} is not a method; {said} describes what it needs")
    try:
        signature = inspect.signature(method)
    except (ValueError, TypeError):  # a method written in C has no signature
        return
    try:
        signature.bind(*[None] * count)
    except TypeError as error:
        arguments = "one argument" if count == 1 else f"{count or 'no'} arguments"
        raise BadPlugin(
            f"{what} is called with {arguments} and does not accept this ({error}); {said} "
            "describes what it needs"
        ) from None
