"""Begin the training of a network with what fits of a trained relative's weights."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nas.core.errors import NasError
from nas.models.build import build_model, weights_of
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, Triple, load_checkpoint
from nas.network.inherit import inherit
from nas.network.weights import Weights
from nas.network.zoo import load_architecture
from nas.training.data import Data
from nas.training.foreign import is_foreign, known_weights
from nas.training.pretrained import load_weights
from nas.training.task import for_classes
from nas.training.trained import drawn_classifier, knows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beginning:
    """A network with the weights to begin with, `share` of which, 0 to 1, are a relative's.

    `arch` has the relative's epsilon and padding, and its images are to be normalised as its own.
    """

    arch: Architecture
    weights: Weights
    normalisation: tuple[Triple, Triple]
    share: float


def find_relative(text: str) -> Checkpoint:
    """Return the trained network that `text` names: a training, "timm:ID", "torchvision:PATH".

    Of another library's file the bundled architecture is taken that it fits.

    Raises:
        NasError: if there is none, or it cannot be read.
    """
    if not is_foreign(text):
        return load_checkpoint(text)
    first: NasError | None = None
    for name in _bundled(text):
        try:
            return load_weights(load_architecture(name), text)
        except NasError as error:
            first = first or error
    assert first is not None
    raise first


def _bundled(text: str) -> Iterator[str]:
    """Yield the architectures that weights may be of: the one that names them, else all."""
    known = known_weights()
    named = [name for name, found in known.items() if text in {w.source for w in found}]
    yield from named or known


def begin_with(relative: Checkpoint, arch: Architecture, data: Data, *, seed: int) -> Beginning:
    """Return `arch`, with a classifier for `data`, and what it inherits from `relative`.

    What it does not inherit is drawn with `seed`.
    """
    own = relative.arch
    arch = replace(
        for_classes(arch, len(data.classes)), norm_epsilon=own.norm_epsilon, padding=own.padding
    )
    fresh = weights_of(build_model(arch, seed=seed))
    found = inherit(own, relative.weights, arch, fresh=fresh)
    same = knows(relative, data.classes)
    return Beginning(
        arch=arch,
        weights=found.weights if same else {**found.weights, **drawn_classifier(arch, seed)},
        normalisation=relative.normalisation,
        share=found.share,
    )
