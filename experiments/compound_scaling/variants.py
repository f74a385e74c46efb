"""The ways to spend more MACs: on depth, on width, on resolution, or on all three."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from nas.network.blocks import Architecture, Block, Blocks
from nas.network.cost import cost
from nas.network.multipliers import Multipliers, scale
from nas.scaling.formula import Compound

MULTIPLE = 2
"""Multiples of 8 channels would be far from equal MACs in a network as narrow as this one."""
STEP = 0.01

WAYS: Mapping[str, Callable[[float], Multipliers]] = {
    "depth": lambda factor: Multipliers(depth=factor),
    "width": lambda factor: Multipliers(width=factor**0.5),
    "resolution": lambda factor: Multipliers(resolution=factor**0.5),
    "compound": lambda factor: Compound().at(_phi(factor)),
}
"""Multipliers, given the factor of the MACs before rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A network with the way it was scaled, and its MACs in multiples of the base's."""

    way: str
    target: float
    times: float
    by: Multipliers
    arch: Architecture


def _phi(factor: float) -> float:
    """Return the phi at which the plain formula gives `factor` times the MACs."""
    low, high = 0.0, 16.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if Compound().at(middle).growth < factor else (low, middle)
    return high


def base() -> Architecture:
    """Return a small MobileNetV2 for 32 x 32 pixels.

    Its stages have four blocks, so a depth of 1.2 is rounded up to 1.25 only.
    """
    stages = (_stage(12, 16, 4, 2), _stage(16, 28, 4, 2), _stage(28, 40, 4, 1))
    return Architecture(
        name="base",
        resolution=32,
        stem=(Block(kind="conv", in_channels=3, out_channels=12, kernel=3, stride=2),),
        stages=stages,
        head=(
            Block(kind="conv", in_channels=40, out_channels=128),
            Block(kind="pool", in_channels=128, out_channels=128),
            Block(kind="linear", in_channels=128, out_channels=10, act="none"),
        ),
    )


def _stage(channels: int, out: int, blocks: int, stride: int) -> Blocks:
    first = Block(
        kind="mbconv",
        in_channels=channels,
        out_channels=out,
        hidden_channels=3 * channels,
        kernel=3,
        stride=stride,
    )
    more = replace(first, in_channels=out, hidden_channels=3 * out, stride=1)
    return (first, *(more,) * (blocks - 1))


def variants(arch: Architecture, targets: Iterable[float]) -> list[Variant]:
    """Return `arch` itself and, for every target and way, the network nearest to the target."""
    found = [Variant(way="base", target=1.0, times=1.0, by=Multipliers(), arch=arch)]
    for target in targets:
        found += [nearest(arch, way, target) for way in WAYS]
    return found


def nearest(arch: Architecture, way: str, target: float) -> Variant:
    """Return the network of one way whose counted MACs are nearest to `target` times the base's."""
    start, best = cost(arch).macs, None
    factor = 1.0 + STEP
    while factor < 1.5 * target:
        by = WAYS[way](factor)
        scaled = scale(arch, by, multiple=MULTIPLE)
        times = cost(scaled).macs / start
        if best is None or abs(times - target) < abs(best.times - target):
            best = Variant(way=way, target=target, times=times, by=by, arch=scaled)
        factor += STEP
    assert best is not None
    return replace(best, arch=replace(best.arch, name=f"{way}-{target:g}x"))
