"""Begin the training of a network with what fits of a trained relative's weights."""

from dataclasses import dataclass, replace

from nas.core.data import bundled
from nas.core.errors import BadFile, NasError
from nas.models.build import weights_of
from nas.network.backbone import backbone_of, from_detector, into_detector
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, Triple, load_checkpoint
from nas.network.inherit import Inherited, inherit
from nas.network.weights import Weights
from nas.network.zoo import load_architecture
from nas.training.data import Data
from nas.training.foreign import find_origin, is_foreign, known_weights
from nas.training.pretrained import load_weights
from nas.training.task import for_classes
from nas.training.trained import fresh, knows


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
    for name, found in known_weights().items():
        if text in {weights.source for weights in found}:
            return load_weights(load_architecture(name), text)
    names = [*bundled("architectures")]
    path = find_origin(text, load_architecture(names[0])).path
    for name in names:
        try:
            return load_weights(load_architecture(name), f"{text.partition(':')[0]}:{path}")
        except BadFile:
            raise
        except NasError:  # of another architecture
            continue
    raise NasError(
        f"{text} fits no bundled architecture; train it on your data with `weights` first, and "
        "give that folder"
    )


def begin_with(relative: Checkpoint, arch: Architecture, data: Data, *, seed: int) -> Beginning:
    """Return `arch`, with a classifier for `data`, and what it inherits from `relative`.

    What it does not inherit is drawn with `seed`.
    """
    own = relative.arch
    arch = replace(
        for_classes(arch, len(data.classes)), norm_epsilon=own.norm_epsilon, padding=own.padding
    )
    drawn = weights_of(fresh(arch, seed=seed))
    same = knows(relative, data.classes)
    if arch.detector is not None:
        found = _for_detector(relative, arch, drawn)
    else:
        found = inherit(own, relative.weights, arch, fresh=drawn, classifier=same)
    return Beginning(
        arch=arch,
        weights=found.weights,
        normalisation=relative.normalisation,
        share=found.share,
    )


def _for_detector(relative: Checkpoint, arch: Architecture, drawn: Weights) -> Inherited:
    """Return weights for a detector: of another, those that are called alike; else a backbone's."""
    if relative.arch.detector is not None:
        alike = {
            name: value
            for name, value in relative.weights.items()
            if name in drawn and drawn[name].shape == value.shape
        }
        share = sum(value.size for value in alike.values()) / sum(v.size for v in drawn.values())
        return Inherited(weights={**drawn, **alike}, share=share)
    base = backbone_of(arch)
    fresh = from_detector(arch, drawn)
    found = inherit(relative.arch, relative.weights, base, fresh=fresh, classifier=False)
    part = sum(value.size for value in fresh.values()) / sum(v.size for v in drawn.values())
    weights = {**drawn, **into_detector(arch, found.weights)}
    return Inherited(weights=weights, share=found.share * part)
