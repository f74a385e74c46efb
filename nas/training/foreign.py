"""Weights of timm and torchvision: where they lie, and by what conventions they were trained."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from nas.core.data import bundled, read_foreign
from nas.core.errors import UnknownName
from nas.core.schema import Fraction, Range, Reader
from nas.exporting.torchvision import SPEC
from nas.network.blocks import Architecture
from nas.network.checkpoint import SUFFIX, Triple
from nas.network.zoo import PublishedWeights, published_weights
from nas.training.hub import CONFIG, WEIGHTS, cached, fetch

PICKLES = (".pth", ".pt")
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TIMM, _TORCHVISION = LIBRARIES = ("timm", "torchvision")
_TENSORFLOW, _TORCH = 1e-3, 1e-5
"""The epsilons of their normalisations."""
_LIKE_TENSORFLOW = re.compile(r"tf_\w+|efficientnet_b\d_pruned")
_PADDED_LIKE_TORCH = ("fbnetc_100", "mobilenetv3_rw")
"""Networks of timm with TensorFlow's epsilon, and torch's padding."""
_LARGE = 2048
"""The least features of torchvision's EfficientNets with TensorFlow's epsilon, B5 to B7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A file of weights from another library, and the conventions that they were trained by.

    `classes` are empty where the file does not say what they are called, and `resolution` is 0
    where it does not say the side of the images.
    """

    path: Path
    library: str
    norm_epsilon: float
    padding: str = "symmetric"
    mean: Triple = IMAGENET_MEAN
    deviation: Triple = IMAGENET_DEVIATION
    classes: tuple[str, ...] = ()
    resolution: int = 0


def is_foreign(text: str) -> bool:
    """Tell whether `text` names weights of another library: "timm:ID", "torchvision:PATH"."""
    library, colon, _ = text.partition(":")
    return bool(colon) and library in LIBRARIES


def find_origin(source: str, arch: Architecture) -> Origin:
    """Return the weights that `source` names, for `arch`.

    That is "timm:ID" for a model of the hub, "timm:PATH" for a file or a folder of one, or
    "torchvision:PATH" for a file, or a folder that was exported for torchvision.

    Raises:
        NasError: if there is no such file or model, or the hub cannot be reached.
    """
    library, _, rest = source.partition(":")
    if not rest:
        example = "timm:mobilenetv3_large_100.ra_in1k, timm:PATH or torchvision:PATH"
        raise UnknownName(f"{source} names no weights; give them as {example}")
    path = Path(rest).expanduser()
    is_path = path.exists() or path.suffix in (SUFFIX, *PICKLES) or rest.startswith((".", "/", "~"))
    if library == _TORCHVISION:
        return _torchvision(_file(path / WEIGHTS if path.is_dir() else path), arch)
    if not is_path:
        path = fetch(_repository(rest), hint=_hint(source))
    return _timm(_file(path / WEIGHTS if path.is_dir() else path), rest)


def where_cached(source: str) -> Path | None:
    """Return the folder of a model of the hub, as in "timm:ID", in the cache, if it is there."""
    return cached(_repository(source.partition(":")[2]))


def _repository(model: str) -> str:
    return model if "/" in model else f"timm/{model}"


def known_weights() -> Mapping[str, tuple[PublishedWeights, ...]]:
    """Return the published weights of every bundled architecture that has some."""
    found = {name: published_weights(name) for name in bundled("architectures")}
    return {name: weights for name, weights in found.items() if weights}


def _hint(source: str) -> str:
    """Return what else may have been meant by an unknown source, as the end of a message."""
    known = [weights.source for found in known_weights().values() for weights in found]
    close = [] if source in known else get_close_matches(source, known)
    return f"; did you mean {', '.join(close)}?" if close else ""


def _file(path: Path) -> Path:
    if not path.is_file():
        raise UnknownName(f"there is no file {path} with weights")
    return path


def _torchvision_epsilon(arch: Architecture) -> float:
    linear = [block for block in arch.head if block.kind == "linear"]
    squeezes = any(block.squeezes for stage in arch.stages for block in stage)
    large = squeezes and bool(linear) and linear[-1].in_channels >= _LARGE
    return _TENSORFLOW if large or len(linear) > 1 else _TORCH


_Deviation = Annotated[float, Range(0, 1, above=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preprocessing:
    """The part of timm's `pretrained_cfg` that is read."""

    mean: tuple[Fraction, Fraction, Fraction] = IMAGENET_MEAN
    std: tuple[_Deviation, _Deviation, _Deviation] = IMAGENET_DEVIATION
    input_size: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arguments:
    """The part of the arguments of a model of timm that is read; None is its own default."""

    bn_eps: _Deviation | None = None
    pad_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """The part of timm's `config.json` that is read."""

    architecture: str = ""
    pretrained_cfg: Mapping[str, Any] = field(default_factory=dict)
    model_args: Mapping[str, Any] = field(default_factory=dict)
    label_names: Any = None


def _timm(path: Path, name: str) -> Origin:
    """Return the weights at `path` by the configuration beside it, else by the `name` given."""
    place = path.with_name(CONFIG)
    read = Reader(place)
    config = read.record(read_foreign(place), _Config, more=True) if place.is_file() else _Config()
    images = read.record(config.pretrained_cfg, _Preprocessing, more=True)
    arguments = read.record(config.model_args, _Arguments, more=True)
    model = re.split(r"[.-]", config.architecture or Path(name).name)[0]  # without tag or digest
    like_tensorflow = bool(_LIKE_TENSORFLOW.fullmatch(model))
    epsilon = _TENSORFLOW if like_tensorflow or model in _PADDED_LIKE_TORCH else _TORCH
    padding = "same" if like_tensorflow else ""
    if arguments.pad_type is not None:
        padding = arguments.pad_type
    return Origin(
        path=path,
        library=_TIMM,
        norm_epsilon=arguments.bn_eps or epsilon,
        padding="same" if padding == "same" else "symmetric",
        mean=images.mean,
        deviation=images.std,
        classes=_classes(config.label_names),
        resolution=_side(images.input_size),
    )


def _side(size: Any) -> int:
    """Return the last of three whole numbers, 0 where `size` is something else."""
    whole = isinstance(size, list) and [type(number) for number in size] == [int] * 3
    return int(size[-1]) if whole else 0


def _classes(labels: Any) -> tuple[str, ...]:
    """Return names of classes, none where `labels` are no list of texts."""
    named = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    return tuple(labels) if named else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """The part of an export for torchvision that is read."""

    mean: tuple[Fraction, Fraction, Fraction] = IMAGENET_MEAN
    std: tuple[_Deviation, _Deviation, _Deviation] = IMAGENET_DEVIATION
    norm_epsilon: _Deviation | None = None
    label_names: Any = None
    input_size: Any = None


def _torchvision(path: Path, arch: Architecture) -> Origin:
    """Return the weights at `path`, of a folder that was exported by what stands beside them."""
    place = path.with_name(SPEC)
    read = Reader(place)
    spec = read.record(read_foreign(place), _Spec, more=True) if place.is_file() else _Spec()
    return Origin(
        path=path,
        library=_TORCHVISION,
        norm_epsilon=spec.norm_epsilon or _torchvision_epsilon(arch),
        mean=spec.mean,
        deviation=spec.std,
        classes=_classes(spec.label_names),
        resolution=_side(spec.input_size),
    )
