"""Estimate the memory of a network before it is built.

All numbers are 32-bit floats. Training holds the weights, their gradients, two moments of the
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
"""Bytes of a block with its unit and layers, as plain data."""


class TooLarge(NasError):
    """A network that does not fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes for the weights of a network, for the activations of one image, and for its blocks."""

    weights: float
    activations: float
    blocks: float = 0.0

    @property
    def building(self) -> float:
        """Bytes to build the network and run one image, with nothing freed in between."""
        return self.weights + self.activations + self.blocks

    def training(self, batch: int) -> float:
        """Bytes to train the network at batch size `batch`."""
        activations = _COPIES_OF_ACTIVATIONS * batch * self.activations
        return _COPIES_OF_WEIGHTS * self.weights + activations + self.blocks


def memory(arch: Architecture, by: Multipliers = Multipliers()) -> Memory:  # noqa: B008  # frozen
    """Return the memory of `arch`, or an estimate of it after scaling.

    Rounding adds some 10 to 60 % to a scaled network if the multipliers are small.
    """
    found = cost(arch)
    activations = found.activations * by.depth * by.width * by.resolution * by.resolution
    return Memory(
        weights=_BYTES * found.params * by.depth * by.width * by.width,
        activations=_BYTES * activations,
        blocks=_BLOCK_BYTES * len(arch.named_blocks()) * by.depth,
    )


def check_memory(need: float, *, what: str, limit: float, then: str) -> None:
    """Reject a `need` of bytes above `limit`; `then` says what to do.

    Raises:
        TooLarge: naming both.
    """
    if need > limit:
        raise TooLarge(
            f"{what} needs about {gib(need)}, but only {gib(limit)} are available; {then}"
        )


def gib(count: float) -> str:
    """Return a number of bytes as text in GiB."""
    return f"{count / 2**30:.3g} GiB"
