"""Networks with the weights that timm and torchvision trained on ImageNet."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import numpy as np

from nas.core.deprecation import deprecated
from nas.core.errors import BadFile, BadValue, NasError
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, DataMetadata
from nas.network.lowering import lower
from nas.network.naming.tensors import Named, Names, restored
from nas.network.naming.timm import split_names, timm_names
from nas.network.naming.torchvision import torchvision_names
from nas.network.weights import Weights
from nas.training.data import Data
from nas.training.foreign import PICKLES, Origin, find_origin, is_foreign
from nas.training.job import Options
from nas.training.plain_weights import read_tensors
from nas.training.task import for_classes
from nas.training.trained import starting_weights

logger = logging.getLogger(__name__)
_NAMES: Mapping[str, Sequence[Callable[[Architecture], Names]]] = {
    "timm": (timm_names, split_names),
    "torchvision": (torchvision_names,),
}
"""What the tensors may be called; of several the ones that the file has most of."""


def load_weights(arch: Architecture, source: str) -> Checkpoint:
    """Return `arch` with weights of timm or torchvision, as a trained network.

    `source` is "timm:ID" for a model of the hub, as in "timm:mobilenetv3_large_100.ra_in1k",
    "timm:PATH" for its file or folder, or "torchvision:PATH". The architecture of the result has
    the epsilon, the padding and the number of classes that the weights were trained with, and its
    `data` the mean and the standard deviation of their images.

    Raises:
        NasError: if there are no such weights, they cannot be read, or a tensor does not fit,
            naming the first.
    """
    origin = find_origin(source, arch)
    found = read_tensors(origin.path)
    arch = replace(arch, norm_epsilon=origin.norm_epsilon, padding=origin.padding)
    try:
        arch, names = _named(arch, origin, found)
    except BadValue as error:
        raise NasError(f"{source} does not fit {arch.name or 'the network'}: {error}") from None
    _check(origin.path, found, names, arch)
    if origin.resolution not in (0, arch.resolution):
        logger.info(
            "%s was trained at %s px, %s takes %s px",
            source,
            origin.resolution,
            arch.name or "the network",
            arch.resolution,
        )
    classes = arch.head[-1].out_channels
    named = len(origin.classes) == classes
    data = DataMetadata(
        name=source,
        fingerprint="",
        classes=origin.classes if named else tuple(map(str, range(classes))),
        mean=origin.mean,
        deviation=origin.deviation,
    )
    weights = restored(found, names, lower(arch))
    return Checkpoint(
        path=origin.path, arch=arch, weights=weights, data=data, top1=None, named=named
    )


def fine_tuning_options(found: Checkpoint, data: Data, *, seed: int = 0) -> Options:
    """Return the options of a training of `found.arch` on `data` that begins with its weights.

    The classifier is drawn with `seed` where the number of classes differs, and the images are
    normalised as those that the weights were trained on. The folder of the training names them.
    """
    weights, name = starting_weights(found, data, seed=seed), source_name(found)
    return Options(weights=weights, weights_name=name, normalisation=found.normalisation)


def source_name(found: Checkpoint) -> str:
    """Return the name of the weights `found`: their source in another library, or their file."""
    return found.data.name if is_foreign(found.data.name) else str(found.path)


def beginning(found: Checkpoint, data: Data, *, seed: int = 0) -> Options:
    """Return what `fine_tuning_options` returns; this is its deprecated name."""
    deprecated(
        "nas.training.pretrained.beginning", instead="fine_tuning_options", removed_in="0.3.0"
    )
    return fine_tuning_options(found, data, seed=seed)


def _named(arch: Architecture, origin: Origin, found: Weights) -> tuple[Architecture, Names]:
    """Return `arch` with as many classes as the tensors `found`, and what these are called."""
    names_of = max(_NAMES[origin.library], key=lambda each: _known(each(arch), found))
    names = names_of(arch)
    known = any(named.name in found for named in names.values())
    if not known:
        _check_library(arch, origin, found)
    ordered = not known and origin.path.suffix in PICKLES  # safetensors does not keep the order
    last = [*(found if ordered else (named.name for named in names.values()))][-1:]
    bias = found[last[0]] if last and last[0] in found else np.empty(0, np.float32)
    if bias.ndim == 1 and len(bias) > 1:
        arch = for_classes(arch, len(bias))
    return arch, _in_order(names_of(arch), found) if ordered else names_of(arch)


def _check_library(arch: Architecture, origin: Origin, found: Weights) -> None:
    """Refuse tensors with the names of another library, which has other conventions."""
    for library in _NAMES.keys() - {origin.library}:
        for names_of in _NAMES[library]:
            with suppress(BadValue):
                if any(named.name in found for named in names_of(arch).values()):
                    path = origin.path
                    raise NasError(f"{path} has the names of {library}; give {library}:{path}")


def _known(names: Names, found: Weights) -> int:
    """Return how many of `names` the tensors `found` have, in the right shape."""
    theirs = ((named, found.get(named.name)) for named in names.values())
    return sum(value is not None and value.shape == named.shape for named, value in theirs)


def _in_order(names: Names, found: Weights) -> Names:
    """Return `names` with those of the tensors `found`, one after the other."""
    theirs = chain(found, (f"number {i}" for i in count(len(found) + 1)))
    result = {}
    for (ours, expected), name in zip(names.items(), theirs, strict=False):
        shape = found[name].shape if name in found else expected.shape
        fits = _without_pixels(shape) == _without_pixels(expected.shape)
        result[ours] = Named(name, shape if fits else expected.shape)
    return result


def _without_pixels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a linear layer for that of a 1x1 convolution."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def _check(path: Path, found: Weights, names: Names, arch: Architecture) -> None:
    """Refuse tensors that are not those of `names`, naming the first in the order of execution."""
    of = arch.name or "the network"
    if missing := next((named.name for named in names.values() if named.name not in found), ""):
        raise NasError(f"{path} is of another architecture than {of}: it has no tensor {missing}")
    for name, shape in ((named.name, named.shape) for named in names.values()):
        if found[name].shape != shape:
            raise NasError(
                f"{path} is of another architecture than {of}: tensor {name} has shape "
                f"{found[name].shape}, not {shape}"
            )
        if not np.isfinite(found[name]).all():
            raise BadFile(f"{path}: tensor {name} has numbers that are not finite")
    known = {named.name for named in names.values()}
    if more := next((name for name in found if name not in known), ""):
        raise NasError(f"{path} is of another architecture than {of}, which has no tensor {more}")
