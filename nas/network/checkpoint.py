"""Read checkpoints of trained networks, their facts and weights, without torch.

A checkpoint is one safetensors file, written atomically: the tensors, and facts about them as JSON
in its header. A training folder holds two: `best` (the averaged weights of the best epoch) and
`last` (everything that is needed to resume the training).
"""

import atexit
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any

import numpy as np

from nas.core import strict_json
from nas.core.errors import BadFile, RunError, UnknownName, missing_package
from nas.core.files import open_regular
from nas.core.run_folder import TRAINING, kind_of, network_of
from nas.core.schema import Fraction, Range, Reader, check_schema
from nas.core.storage import Place, is_url, split_name
from nas.core.text import shown
from nas.network.blocks import Architecture, from_mapping
from nas.network.lineage import Lineage
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, check_weights

SETTINGS, ARCH = TRAINING.mark, "arch.yaml"
BEST, LAST = "best", "last"
SUFFIX = ".safetensors"
HEADER = "nas"
"""The key of the header's metadata that holds our JSON."""

PREPROCESSING: Mapping[str, str] = {
    "crop": "the square in the centre, as large as the shorter side",
    "interpolation": "bilinear, antialiased where images shrink",
    "channel_order": "RGB",
    "range": "0 to 1 (bytes / 255), then (pixels - mean) / deviation",
}
"""How images are preprocessed for a trained network, besides resolution and normalisation."""
STRETCHED = "none; the whole image is stretched to a square"
"""The crop of a detector."""

_UNNAMED = "classes_are_numbers"
"""A key of the metadata that is present if the classes have no names."""
MODEL, AVERAGE = "model.", "average."
"""Prefixes of the names of weights: the trained ones, and their moving average."""

RANGES = "ranges"
"""The name, after its prefix, of the ranges of a network trained with quantization."""

_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000
_Deviation = Annotated[float, Range(0, 1, above=True)]
Triple = tuple[float, float, float]
"""One number per channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMetadata:
    """The facts that a checkpoint records about its data.

    Images in the range 0 to 1 are normalised with `mean` and `deviation` of the three channels.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    mean: tuple[Fraction, Fraction, Fraction]
    deviation: tuple[_Deviation, _Deviation, _Deviation]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMetadata:
    """The facts that a checkpoint records about its tensors.

    `arch` is the content of an architecture file; `progress` is the state of the training, with
    `top1` or `map` after the first validation. `quantized` names the values whose ranges are among
    the tensors, if it was trained with quantization. A network of a supernet, without a training of
    its own, has the name of the `supernet`'s space, and the `lineage` of its architecture.
    """

    schema: int
    arch: Mapping[str, Any]
    data: DataMetadata
    progress: Mapping[str, Any]
    quantized: tuple[str, ...] = ()
    supernet: str = ""
    lineage: Lineage = Lineage()  # noqa: RUF009  # frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network: its architecture, weights, and the data it was trained on.

    `top1` is the accuracy of a classifier on the validation images, `map` the AP of a detector;
    both are None before the first validation, and for networks of the other task. `named` is False
    if the classes have no names, only numbers. `notes` are further facts for exported files.
    `ranges` are the quantization ranges (least, largest) of values by their names in the ONNX
    graph, if the network was trained with quantization.
    """

    path: Path
    arch: Architecture
    weights: Weights
    data: DataMetadata
    top1: float | None
    map: float | None = None
    named: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def normalisation(self) -> tuple[Triple, Triple]:
        """The mean and standard deviation by which its images are normalised."""
        return self.data.mean, self.data.deviation

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of an exported file; lists are JSON."""
        return {
            "data": self.data.name,
            "classes": json.dumps(self.data.classes),
            "mean": json.dumps(self.data.mean),
            "deviation": json.dumps(self.data.deviation),
            **({} if self.named else {_UNNAMED: "true"}),
            **PREPROCESSING,
            **({} if self.arch.detector is None else {"crop": STRETCHED}),
            **{name: repr(value) for name, value in self.scores.items()},
            **self.notes,
        }

    @property
    def scores(self) -> dict[str, float]:
        """Those of `top1` and `map` that are known, by name."""
        known = {"top1": self.top1, "map": self.map}
        return {name: value for name, value in known.items() if value is not None}


def metric_of(arch: Architecture) -> str:
    """Return the metric by which networks like `arch` are compared: top1 or map."""
    return "top1" if arch.detector is None else "map"


def named_classes(metadata: Mapping[str, str]) -> list[str]:
    """Return the class names in the metadata of a network; none if the classes have no names."""
    names: list[str] = json.loads(metadata.get("classes", "[]"))
    return names if _UNNAMED not in metadata else []


def find_checkpoint(text: str) -> Path | None:
    """Return the file of the checkpoint that `text` names, None if it names something else.

    `text` is a training folder (for its best), DIR:best, DIR:last, or a path that ends in
    .safetensors. A file at a URL is downloaded, and removed when this process ends.

    Raises:
        NasError: if there is no such checkpoint.
    """
    return _fetched(text) if is_url(text) else _find(text)


def _fetched(url: str) -> Path | None:
    is_file = url.endswith(SUFFIX)
    folder, name = url.rsplit("/", 1) if is_file else split_name(url)
    file = name if is_file else f"{name or BEST}{SUFFIX}"
    with Place(folder).reading(SETTINGS, str(file)) as there:
        found = _find(f"{there}/{name}" if is_file else f"{there}:{name}" if name else str(there))
        if found is None or not found.is_file():
            return None
        lasting = Path(mkdtemp(prefix="nas-"))
        atexit.register(shutil.rmtree, lasting, ignore_errors=True)
        return Path(shutil.move(found, lasting))


def _find(text: str) -> Path | None:
    text = network_of(text)
    folder, colon, name = text.rpartition(":")
    if colon and (Path(folder) / SETTINGS).is_file():
        if name not in (BEST, LAST):
            raise UnknownName(f"{folder} has checkpoints best and last, not {name!r}")
    elif (Path(text) / SETTINGS).is_file():
        folder, name = text, BEST
    else:
        return Path(text) if text.endswith(SUFFIX) else None
    path = Path(folder) / f"{name}{SUFFIX}"
    if not path.is_file():
        raise RunError(f"{folder} has no {name} checkpoint yet; train it for an epoch at least")
    return path


def load_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that `text` names; see `find_checkpoint`.

    Raises:
        NasError: if there is none, it is damaged, or its weights do not fit its architecture.
    """
    path = find_checkpoint(text)
    if path is None:
        kind = None if is_url(text) else kind_of(Path(split_name(text)[0]))
        if kind and kind is not TRAINING:
            raise UnknownName(
                f"{text} is of {kind.text}, which has architectures without weights; train one: "
                "nas train"
            )
        raise UnknownName(
            f"{text} is not a trained network; give a training folder, FOLDER:last, or a "
            f"{SUFFIX} file"
        )
    facts = read_header(path)
    arch = architecture_of(path)
    weights = read_weights(path)
    ranges = _ranges(facts.quantized, weights.pop(RANGES, None), path)
    check_weights(lower(arch), weights)
    scored = Reader(path).record(facts.progress, _Scored, more=True)
    return Checkpoint(
        path=path,
        arch=arch,
        weights=weights,
        data=facts.data,
        top1=scored.top1,
        map=scored.map,
        ranges=ranges,
    )


def _ranges(
    values: Sequence[str], logarithms: Array | None, path: Path
) -> Mapping[str, tuple[float, float]]:
    """Return the ranges of `values` from the logarithms of what lies below and above 0."""
    shape = () if logarithms is None else logarithms.shape
    if shape != ((len(values), 2) if values else ()):
        raise BadFile(f"{path}: ranges of shape {shape} do not fit {len(values)} quantized values")
    ends = np.exp(np.asarray(logarithms, np.float64)).tolist() if values else []
    return {name: (-low, high) for name, (low, high) in zip(values, ends, strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """The fields of `CheckpointMetadata.progress` that are read here."""

    top1: Fraction | None = None
    map: Fraction | None = None


def architecture_of(path: Path) -> Architecture:
    """Return the architecture of the checkpoint at `path`.

    Raises:
        BadFile: if it cannot be read, or is not a checkpoint of this project.
    """
    return from_mapping(read_header(path).arch, source=f"{path}: arch")


def read_header(path: Path) -> CheckpointMetadata:
    """Return the facts that the checkpoint at `path` records about its tensors.

    Raises:
        BadFile: if it cannot be read, or is not a checkpoint of this project.
    """
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header = strict_json.parse(file.read(min(length, _MAX_HEADER)))
        # earlier versions stored a loss of NaN when a training diverged
        facts = strict_json.parse(header["__metadata__"][HEADER], constants=True)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadFile(f"{path} is not a checkpoint of a training, or is damaged") from None
    read = Reader(path)
    if isinstance(facts, Mapping):
        check_schema(facts, place=str(path))
    return read.record(facts, CheckpointMetadata)


def read_weights(path: Path) -> dict[str, Array]:
    """Return the averaged weights, or the trained ones if no average was kept.

    Raises:
        BadFile: if the file is damaged, or holds numbers that are not finite.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="reading a checkpoint") from None
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            prefix = AVERAGE if any(name.startswith(AVERAGE) for name in names) else MODEL
            found = [name for name in names if name.startswith(prefix)]
            weights = {name.removeprefix(prefix): file.get_tensor(name) for name in found}
    except (SafetensorError, OSError, *_UNREADABLE) as error:
        raise BadFile(f"{path} is damaged: {error}") from None
    for name, value in weights.items():
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise BadFile(
                f"{path}: weights {shown(name)} are not all finite numbers; train it again, at a "
                "lower rate if the training diverged"
            )
    return weights


_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)
"""The errors of safetensors for number types that numpy lacks."""
