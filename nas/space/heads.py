"""Detectors of a search space: its networks as backbones with one head."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nas.core import plugins
from nas.core.contracts import check_call, check_parts
from nas.core.errors import BadValue, NasError
from nas.core.plugins import Plugin
from nas.network.blocks import Architecture
from nas.network.detectors import KIND, RESOLUTION, Taps
from nas.space.space import Matrix, Space
from nas.space.with_heads import Bodies

_SIDES = (32, 4096)
_OF_CLASSIFIERS = 224


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head with its options, and the side of the detectors' input in pixels.

    A `side` of 0 means 320, or the choices of the space if its resolution is a choice.
    """

    plugin: Plugin
    side: int = 0

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Return the head of "ssdlite" or "ssdlite:classes=3,resolution=224".

        Raises:
            NasError: if there is no such head, or the resolution is not a whole number of pixels.
        """
        plugin = Plugin.parse(text)
        options: dict[str, str] = dict(plugin.options)
        if "path" in options:
            raise NasError(
                f"head {text}: the networks of the space are the backbones, so name none; write "
                f"`head={plugin.name}`, or with options `head={plugin.name}:classes=3`"
            )
        side = options.pop("resolution", "0")
        if not side.isdecimal() or (int(side) and not _SIDES[0] <= int(side) <= _SIDES[1]):
            low, high = _SIDES
            raise NasError(f"head {text}: resolution must be {low} to {high} pixels, not {side}")
        plugins.load(KIND, plugin.name)
        return cls(plugin=Plugin(name=plugin.name, options=options), side=int(side))

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        options = {**self.plugin.options, **({"resolution": str(self.side)} if self.side else {})}
        return str(Plugin(name=self.plugin.name, options=options))

    @property
    def name(self) -> str:
        """The name of the head, without options."""
        return str(self.plugin.name)

    def with_default(self, options: Mapping[str, str]) -> "Head":
        """Return the head with `options` as defaults for its own."""
        made = {**options, **self.plugin.options}
        return replace(self, plugin=Plugin(name=self.plugin.name, options=made))

    def __call__(self, backbone: Architecture) -> Architecture:
        """Return the detector on `backbone`, at its resolution.

        Raises:
            NasError: if the head has no such options, or does not fit the network.
        """
        made: Architecture = self._make(backbone)
        check_parts(KIND, f"head {self.name}", made)
        return replace(made, name=f"{self.name}:{backbone.name}" if backbone.name else "")

    @cached_property
    def _make(self) -> Callable[[Architecture], Architecture]:
        made = plugins.bound(KIND, self.plugin)
        check_call(KIND, f"head {self.name}", made, (None,))
        return made

    def at_its_side(self, backbone: Architecture, space: Space) -> Architecture:
        """Return a network from outside the search, at the resolution it would have in it."""
        sides = space.resolutions
        side = backbone.resolution if len(sides) > 1 else sides[0]
        return replace(backbone, resolution=side)

    def searched(self, space: Space) -> Space:
        """Return the space of the backbones, at the resolution of the detectors."""
        if not self.side and len(space.resolutions) > 1:
            return space
        return replace(space, resolutions=(self.side or RESOLUTION,))

    def judged(self, space: Space) -> Space:
        """Return the space of classifiers with the same choices, at their usual resolution.

        If the head fixes a resolution that is a choice of the space, use the choice nearest to 224.
        """
        if self.searched(space) is space:
            return space
        usual = min(space.resolutions, key=lambda side: abs(side - _OF_CLASSIFIERS))
        return replace(space, resolutions=(usual,))

    def check(self, space: Space) -> Taps | None:
        """Reject a `space` whose networks the head does not fit; return the head's taps.

        Raises:
            NasError: saying what the networks lack.
        """
        some = space.decode_row(np.zeros(len(space.columns), np.uint8))
        try:
            for side in space.resolutions:
                self(replace(some, resolution=side))
            same = all(len(row.options["stride"]) == 1 for row in space.stages)
            found: Taps | None = plugins.beside(KIND, self.plugin, "taps", some) if same else None
        except BadValue as error:
            several = len(space.resolutions) > 1 and error.path == ("resolution",)
            hint = "; or fix it for all networks: `head=NAME:resolution=320`" if several else ""
            raise NasError(f"head {self} does not fit space {space.name}: {error}{hint}") from None
        return found


def decode(space: Space, rows: Matrix, head: Head | None) -> tuple[Architecture, ...]:
    """Return the architectures of `rows`, with `head` if there is one."""
    archs = space.decode_rows(rows)
    return tuple(map(head, archs)) if head else archs


@dataclass(frozen=True, kw_only=True)
class Detectors:
    """The detectors of a space, as given to evaluators that use look-ups."""

    head: Head
    space: Space

    @cached_property
    def bodies(self) -> Bodies:
        """The units that the detectors share with the networks of the space."""
        return Bodies(self.space, self.head, self.head.check(self.space))
