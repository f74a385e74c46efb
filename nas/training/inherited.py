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
from nas.training.task import class_units, for_classes
from nas.training.trained import has_classes, random_model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InitialWeights:
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


def inherit_weights(
    relative: Checkpoint, arch: Architecture, data: Data, *, seed: int
) -> InitialWeights:
    """Return `arch`, with a classifier for `data`, and what it inherits from `relative`.

    What it does not inherit is drawn with `seed`.
    """
    own = relative.arch
    arch = replace(
        for_classes(arch, len(data.classes)), norm_epsilon=own.norm_epsilon, padding=own.padding
    )
    drawn = weights_of(random_model(arch, seed=seed))
    same = has_classes(relative, data.classes)
    if arch.detector is not None:
        found = _for_detector(relative, arch, drawn, same=same)
    else:
        found = inherit(own, relative.weights, arch, fresh=drawn, classifier=same)
    return InitialWeights(
        arch=arch,
        weights=found.weights,
        normalisation=relative.normalisation,
        share=found.share,
    )


def _for_detector(
    relative: Checkpoint, arch: Architecture, drawn: Weights, *, same: bool
) -> Inherited:
    """Return weights for a detector, from its backbone's relative.

    Of another detector come also the tensors of the head that are called alike and of one shape,
    those of the classes only if these are the same.
    """
    own, weights, base = relative.arch, relative.weights, backbone_of(arch)
    alike: Weights = {}
    if own.detector is not None:
        alike = _of_head(weights, arch, drawn, same=same)
        own, weights = backbone_of(own), from_detector(own, weights)
    fresh = from_detector(arch, drawn)
    found = inherit(own, weights, base, fresh=fresh, classifier=False)
    body = into_detector(arch, found.weights)
    alike = {name: value for name, value in alike.items() if name not in body}
    taken = found.share * _size(fresh) + _size(alike)
    return Inherited(weights={**drawn, **body, **alike}, share=taken / _size(drawn))


def _of_head(weights: Weights, arch: Architecture, drawn: Weights, *, same: bool) -> Weights:
    """Return the tensors of a detector that `arch` has too, with those of classes if `same`."""
    classes = tuple(f"{name}." for name in class_units(arch))
    return {
        name: value
        for name, value in weights.items()
        if name in drawn and drawn[name].shape == value.shape
        if same or not name.startswith(classes)
    }


def _size(weights: Weights) -> int:
    return sum(value.size for value in weights.values())
