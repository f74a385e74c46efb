"""Compound scaling: depth, width and resolution grow together (Tan & Le, 2019).

Equation 3 of the paper: depth alpha^phi, width beta^phi, resolution gamma^phi, with alpha * beta^2
* gamma^2 about 2, so that the MACs grow by about 2^phi. The published family follows it roughly,
with width and depth given to one decimal. The best-fitting phi of B1 to B7 are 0.34, 1.03, 1.95,
3.47, 4.65, 5.63 and 6.57; the published depth, width and resolution deviate from the formula by at
most 3.4 % up to B3, which rounding explains, and by 4.6 to 7.4 % from B4 on, which it does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite, prod

from nas.core.errors import BadValue, NasError
from nas.network.blocks import Architecture
from nas.network.cost import cost_of
from nas.network.layers import Shape, Unit
from nas.network.lowering import lower
from nas.network.multipliers import (
    DIVISOR,
    Multipliers,
    scale,
    scale_depth,
    scale_resolution,
    scale_width,
)
from nas.network.zoo import load_architecture

PUBLISHED_BASE = "efficientnet_b0"
HIGHEST_RATE = 0.5
RATE_STEP = 0.3 / 7
"""The increase of dropout per step of phi: from 0.2 at B0 to 0.5 at B7 (Tan & Le, 2019, section
5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound:
    """The growth of depth (alpha), width (beta) and resolution (gamma) per step of phi.

    Raises:
        BadValue: if one is not a finite number of 1 or more, as equation 3 requires.
    """

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isfinite(value) and value >= 1):
                text = f"{field.name} must be a finite number of 1 or more, not {value:g}"
                raise BadValue(text, field.name)

    @property
    def growth(self) -> float:
        """The growth of the MACs per step of phi, before rounding."""
        return self.at(1).growth

    def at(self, phi: float) -> Multipliers:
        """Return the multipliers at `phi`; 0 leaves a network unchanged.

        Raises:
            BadValue: if `phi` is not a finite number of 0 or more.
        """
        if not (isfinite(phi) and phi >= 0):
            raise BadValue(f"phi must be a finite number of 0 or more, not {phi:g}", "phi")
        try:
            return Multipliers(
                depth=self.alpha**phi, width=self.beta**phi, resolution=self.gamma**phi
            )
        except OverflowError:
            raise BadValue(f"phi {phi:g} gives numbers beyond all bounds", "phi") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """A published network of the EfficientNet family, in multiples of B0."""

    width: float
    depth: float
    resolution: int
    dropout: float


PUBLISHED: Mapping[int, PublishedModel] = {
    1: PublishedModel(width=1.0, depth=1.1, resolution=240, dropout=0.2),
    2: PublishedModel(width=1.1, depth=1.2, resolution=260, dropout=0.3),
    3: PublishedModel(width=1.2, depth=1.4, resolution=300, dropout=0.3),
    4: PublishedModel(width=1.4, depth=1.8, resolution=380, dropout=0.4),
    5: PublishedModel(width=1.6, depth=2.2, resolution=456, dropout=0.4),
    6: PublishedModel(width=1.8, depth=2.6, resolution=528, dropout=0.5),
    7: PublishedModel(width=2.0, depth=3.1, resolution=600, dropout=0.5),
}
"""The models in the code published with the paper. Its drop-connect is 0.2 for all: the last blocks
are dropped equally often in every network, but a deeper one has more blocks."""


def grow(
    arch: Architecture,
    phi: float,
    by: Compound = Compound(),
    *,
    multiple: int = DIVISOR,
) -> Architecture:
    """Return `arch` scaled by the formula, with more dropout if it has any.

    Dropout grows by 0.3 in seven steps, to at most 0.5, as in the paper. Drop-connect, if not 0,
    grows likewise, so that larger networks are regularised more (Bello et al., 2021); the published
    family leaves it at 0.2.

    Raises:
        BadValue: if `phi` or `multiple` is out of range.
    """
    scaled = scale(arch, by.at(phi), multiple=multiple)
    return replace(
        scaled,
        dropout=_grown(arch.dropout, phi),
        drop_connect=_grown(arch.drop_connect, phi),
    )


def _grown(rate: float, phi: float) -> float:
    return max(rate, min(HIGHEST_RATE, round(rate + RATE_STEP * phi, 4))) if rate else 0.0


def published(arch: Architecture, number: float) -> Architecture:
    """Return a published network, B1 to B7, of the family that begins with `arch`.

    It has the classes of `arch`.

    Raises:
        NasError: if the body of `arch` is not EfficientNet-B0's.
        BadValue: if there is no such network.
    """
    base = load_architecture(PUBLISHED_BASE)
    if (arch.stem, arch.stages, arch.head[:-1]) != (base.stem, base.stages, base.head[:-1]):
        raise NasError(
            f"{arch.name or arch.fingerprint} has no published family, only {PUBLISHED_BASE} has "
            "one; leave out `published` to scale it by the formula"
        )
    if number == 0:
        return arch
    row = PUBLISHED.get(int(number)) if isfinite(number) and number == int(number) else None
    if row is None:
        raise BadValue(
            f"nothing was published for phi {number:g}; there are 0 to {max(PUBLISHED)}; "
            "leave out `published` to scale by the formula",
            "phi",
        )
    scaled = scale_resolution(scale_width(scale_depth(arch, row.depth), row.width), row.resolution)
    name = f"{PUBLISHED_BASE[:-1]}{int(number)}"
    return replace(scaled, dropout=row.dropout, drop_connect=base.drop_connect, name=name)


def predict_macs(base: Architecture, scaled: Architecture) -> float:
    """Return the MACs of `scaled` by equation 3, unit by unit, after rounding.

    A unit's MACs are those of its origin in `base`, times the growth of its input channels, output
    channels and pixels. This ignores that depthwise convolutions grow only linearly with width. A
    unit without an origin is counted as it is: the head of a detector may get another level with
    the resolution.
    """
    known = {unit.name: unit for unit in lower(base)}
    total = 0.0
    for unit in lower(scaled):
        origin = known.get(_origin(unit, base), unit)
        total += cost_of(origin).macs * _growth(origin, unit)
    return total


def _origin(unit: Unit, base: Architecture) -> str:
    """Return the name of a unit's origin; for a repeated unit, the last unit of its stage."""
    section, _, rest = unit.name.partition(".")
    if section != "stages":
        return unit.name
    stage, block = map(int, rest.split("."))
    return f"stages.{stage}.{min(block, len(base.stages[stage]) - 1)}"


def _growth(origin: Unit, unit: Unit) -> float:
    width = unit.in_shape[0] * unit.out_shape[0] / (origin.in_shape[0] * origin.out_shape[0])
    return width * _pixels(unit.out_shape) / _pixels(origin.out_shape)


def _pixels(shape: Shape) -> int:
    return prod(shape[1:])
