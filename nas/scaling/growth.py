"""Scale a network by the options of a command, if the result fits into memory."""

from dataclasses import dataclass, replace
from math import isfinite

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.network.memory import check_memory, memory
from nas.network.multipliers import DIVISOR, MIN_RESOLUTION, Multipliers, scale
from nas.scaling.formula import Compound, grow, published

PARTS, COMPOUND = ("width", "depth", "resolution"), ("alpha", "beta", "gamma")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How to scale a network; options that are not given are None.

    Given are either `phi`, with `alpha`, `beta`, `gamma` or as `published`, or some of `width`,
    `depth` and `resolution` (pixels, or a multiplier if below 8). Channels become multiples of
    `multiple`.

    Raises:
        NasError: if these contradict each other.
    """

    width: float | None = None
    depth: float | None = None
    resolution: float | None = None
    phi: float | None = None
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    multiple: int | None = None
    published: bool = False

    def __post_init__(self) -> None:
        parts, compound = self._given(*PARTS), self._given(*COMPOUND)
        if self.phi is not None and parts:
            raise NasError(f"`phi` scales everything together; leave out {' and '.join(parts)}")
        if self.phi is None and (compound or self.published):
            raise NasError(f"{(compound or ['`published`'])[0]} needs `phi`, as in `phi=1`")
        if self.published and (more := self._given(*COMPOUND, "multiple")):
            raise NasError(f"`published` takes no other settings; leave out {' and '.join(more)}")
        if self.phi is None and not parts:
            raise NasError("say how to scale: `phi`, or `width`, `depth` and `resolution`")

    def _given(self, *names: str) -> list[str]:
        return [f"`{name}`" for name in names if getattr(self, name) is not None]

    def compound(self) -> Compound:
        """Return alpha, beta and gamma, by default the paper's."""
        return Compound(**{k: v for k in COMPOUND if (v := getattr(self, k)) is not None})

    def multipliers(self, base: Architecture) -> Multipliers:
        """Return the multipliers for `base`, before anything is rounded."""
        if self.phi is not None:
            return self.compound().at(self.phi)
        given = {name: v for name in PARTS if (v := getattr(self, name)) is not None}
        pixels = given.get("resolution", 1.0)
        if isfinite(pixels) and pixels >= MIN_RESOLUTION:
            if pixels != round(pixels):
                raise NasError(
                    f"`resolution={pixels:g}`: expected whole pixels, or a multiplier below "
                    f"{MIN_RESOLUTION}"
                )
            given["resolution"] = pixels / base.resolution
        return Multipliers(**given)

    def label(self, by: Multipliers) -> str:
        """Return the growth as part of a name: "phi1.5", "w1.4-d2"."""
        if self.phi is not None:
            return f"phi{self.phi:g}"
        parts = [f"{name[0]}{getattr(by, name):.3g}" for name in PARTS if getattr(by, name) != 1]
        return "-".join(parts) or "same"


def grown(base: Architecture, growth: Growth, *, limit: float) -> Architecture:
    """Return `base` scaled; its weights and activations may take at most `limit` bytes.

    Networks that are far too large are rejected before they are built.

    Raises:
        NasError: if a number is out of range, or nothing is published for `base`.
        TooLarge: if the result needs more than `limit`.
    """
    if growth.published:
        scaled = published(base, growth.phi or 0.0)
        _check(base, growth.label(Multipliers()), memory(scaled).building, limit)
        return scaled
    by = growth.multipliers(base)
    label = growth.label(by)
    _check(base, label, memory(base, by).building, limit)
    multiple = DIVISOR if growth.multiple is None else growth.multiple
    if growth.phi is None:
        scaled = scale(base, by, multiple=multiple)
    else:
        scaled = grow(base, growth.phi, growth.compound(), multiple=multiple)
    _check(base, label, memory(scaled).building, limit)
    return replace(scaled, name=f"{base.name or base.fingerprint}-{label}")


def _check(base: Architecture, label: str, need: float, limit: float) -> None:
    check_memory(
        need,
        what=f"{base.name or base.fingerprint} at {label}",
        limit=limit,
        then="scale it less, or say how much there is elsewhere: `memory=GIB`",
    )
