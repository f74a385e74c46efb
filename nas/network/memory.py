"""How much memory a network takes, estimated before it is built.

All figures are of 32-bit floats. A training holds the weights, their gradients, two moments of the
optimizer and an average; and the output of every convolution, before and after normalisation and
activation.
"""

from dataclasses import dataclass

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.multipliers import Multipliers

_BYTES = 4
_COPIES_OF_WEIGHTS = 5
_COPIES_OF_ACTIVATIONS = 3
_BLOCK_BYTES = 4096
"""Of a block with its unit and layers, as plain data."""


class TooLarge(NasError):
    """A network that does not fit into the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes for the weights of a network, for the activations of one image, and for its blocks."""

    weights: float
    activations: float
    blocks: float = 0.0

    @property
    def building(self) -> float:
        """Bytes to build it and run one image through it, nothing freed in between."""
        return self.weights + self.activations + self.blocks

    def training(self, batch: int) -> float:
        """Bytes to train it with `batch` images at once."""
        activations = _COPIES_OF_ACTIVATIONS * batch * self.activations
        return _COPIES_OF_WEIGHTS * self.weights + activations + self.blocks


def memory(arch: Architecture, by: Multipliers = Multipliers()) -> Memory:  # noqa: B008  # frozen
    """Return what `arch` takes, or would about take once scaled.

    Rounding adds some 10 to 60 % to a scaled network where the multipliers are small.
    """
    found = cost(arch)
    activations = found.activations * by.depth * by.width * by.resolution * by.resolution
    return Memory(
        weights=_BYTES * found.params * by.depth * by.width * by.width,
        activations=_BYTES * activations,
        blocks=_BLOCK_BYTES * len(arch.named_blocks()) * by.depth,
    )


def check_memory(need: float, *, what: str, limit: float, then: str) -> None:
    """Refuse a need of bytes that lies above `limit`; `then` says what to do.

    Raises:
        TooLarge: naming both.
    """
    if need > limit:
        raise TooLarge(f"{what} needs about {gib(need)}, and there are {gib(limit)}; {then}")


def gib(count: float) -> str:
    """Return bytes as text in GiB."""
    return f"{count / 2**30:.3g} GiB"
