"""The common part of other projects' latency tables.

A dialect is a file in `nas/latency/dialects/` that knows which units a key stands for. `importing`
reads such tables, `exporting` writes them. A key has `mean` in milliseconds, `count` (of runs) and
their spread, as `std` or its square `var`. Networks are sums, as in our own tables.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nas.core.errors import NasError
from nas.core.plugins import Plugin, create
from nas.core.schema import FromFile
from nas.network.blocks import Block
from nas.network.layers import Unit
from nas.network.lowering import lower_block

ENDING = "_lookup_table"
"""The end of the names of files for one resolution, as in `224_lookup_table.yaml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectEntry:
    """One measured latency: its mean, the standard deviation of one run, and the number of runs."""

    ms: float
    deviation_ms: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A dialect, as returned by `create()` of a file in `nas/latency/dialects/`.

    `units` returns the units that one key stands for, and raises a NasError with the reason if
    there are none; the time of several units is assigned to the first. `keys` proposes keys for
    given units, each with the units it would stand for, in their order; only keys that `units`
    confirms are used. `spread` is "std" or "var".
    """

    name: str
    spread: str
    units: Callable[[str], tuple[Unit, ...]]
    keys: Callable[[Sequence[Unit]], Iterable[tuple[str, tuple[Unit, ...]]]]


def load_dialect(name: str) -> Dialect:
    """Return a dialect by its name, with options: "proxylessnas:act=relu".

    Raises:
        UnknownName: if there is no such dialect.
    """
    dialect: Dialect = create("dialects", Plugin.parse(name))
    return dialect


_NUMBER = r"\d{1,9}"
_SHAPE = rf"({_NUMBER})x({_NUMBER})x({_NUMBER})"
_KEY = re.compile(
    rf"(?P<kind>\S+) {_SHAPE} -> {_SHAPE}( hidden (?P<hidden>{_NUMBER}))?"
    rf"( kernel (?P<kernel>{_NUMBER}) stride (?P<stride>{_NUMBER}))?"
    rf"( se (?P<se>{_NUMBER}) (?P<se_act>\w+) (?P<gate>\w+))?"
    r"( (?P<act>\w+))?( skip-(?P<skip>\w+))?",
    re.ASCII,
)


def unit_from_key(key: str) -> Unit:
    """Return the unit that has this key.

    Raises:
        NasError: if it is not a key of a unit.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise NasError("this is not the key of a unit")
    height, width, channels, out_channels = (int(match[group]) for group in (2, 3, 4, 7))
    words = {name: text for name, text in match.groupdict().items() if text is not None}
    block = Block(
        kind=FromFile(words["kind"]),
        in_channels=channels,
        out_channels=out_channels,
        hidden_channels=int(words.get("hidden", 0)),
        kernel=int(words.get("kernel", 1)),
        stride=int(words.get("stride", 1)),
        se_channels=int(words.get("se", 0)),
        act=words.get("act", "relu6"),
        se_act=words.get("se_act", "relu"),
        gate=words.get("gate", "sigmoid"),
        skip=words.get("skip", "none"),
    )
    unit = lower_block(block, (channels, height, width))
    if unit.key != key:
        raise NasError(f"this is not the key of a unit; the nearest is {unit.key}")
    return unit
