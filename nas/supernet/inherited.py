"""Begin a training with the weights of a trained network, or of a supernet that contains it."""

from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.supernet.find import is_supernet, load_supernet
from nas.supernet.supernet import Supernet
from nas.training import inherited
from nas.training.data import Data
from nas.training.inherited import InitialWeights

Relative = Checkpoint | Supernet
"""What a network may inherit weights from."""


def find_relative(text: str) -> Relative:
    """Return the supernet, or else the trained network, that `text` names.

    Raises:
        NasError: if there is none, or it cannot be read.
    """
    return load_supernet(text) if is_supernet(text) else inherited.find_relative(text)


def inherit_weights(
    relative: Relative, arch: Architecture, data: Data, *, seed: int, of: Architecture | None = None
) -> InitialWeights:
    """Return `arch`, with a classifier for `data`, and what it inherits from `relative`.

    Of a supernet that is the part of `of`, `arch` by default, a network of its space. What it does
    not inherit is drawn with `seed`.

    Raises:
        NotInSpace: if the network is not in the space of the supernet.
    """
    found = relative.subnet(of or arch) if isinstance(relative, Supernet) else relative
    return inherited.inherit_weights(found, arch, data, seed=seed)
