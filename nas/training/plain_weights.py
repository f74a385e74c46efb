"""Weights to begin a training with: of a trained network, or from a plain file of tensors."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nas.core.errors import BadFile, NasError, first_line
from nas.core.files import open_regular
from nas.core.text import shown
from nas.models.state import load
from nas.network.blocks import Architecture
from nas.network.checkpoint import HEADER, SUFFIX
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, weight_shapes
from nas.training.data import Data
from nas.training.foreign import PICKLES
from nas.training.task import for_classes
from nas.training.trained import random_classifier

_INSIDE = ("state_dict", "model_state_dict", "model")
"""Keys under which programs keep the weights beside other things."""
_WRAPPED = "module."
"""What torch's data parallelism puts before every name."""
_COUNTER = "num_batches_tracked"
_CODE = re.compile(r"GLOBAL (\S+)")


def is_plain(text: str) -> bool:
    """Tell a file of tensors alone from a checkpoint of a training, by name and header."""
    path = Path(text)
    if path.suffix != SUFFIX or not path.is_file():
        return path.suffix in PICKLES
    try:
        with safe_open(path, framework="numpy") as file:
            return HEADER not in (file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise BadFile(f"{path} is damaged: {first_line(error)}") from None


def plain_weights(path: Path, arch: Architecture, data: Data, *, seed: int) -> tuple[Weights, bool]:
    """Return the weights in a file of tensors for `arch` with a classifier for `data`.

    The names are those of the torch model's `state_dict`. Where the classifier has another number
    of classes, a new one is drawn with `seed`, and the second value is True.

    Raises:
        NasError: if it cannot be read, or a tensor does not fit, naming the first.
    """
    arch = for_classes(arch, len(data.classes))
    found = read_tensors(path)
    shapes = weight_shapes(lower(arch))
    classifier = f"{lower(arch)[-1].name}."
    new = _other_classes(found, shapes, classifier)
    if new:
        found |= random_classifier(arch, seed)
    _check(path, found, shapes)
    return {name: found[name] for name in shapes}, new


def _other_classes(
    found: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], classifier: str
) -> bool:
    """Tell whether the classifier differs in the number of its outputs alone."""
    names = [name for name in shapes if name.startswith(classifier)]
    return all(
        name in found and found[name].shape[1:] == shapes[name][1:] for name in names
    ) and any(found[name].shape != shapes[name] for name in names)


def _check(path: Path, found: Weights, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that do not fit, in the order of the file, and then what is missing."""
    for name, value in found.items():
        if name not in shapes:
            raise NasError(
                f"{path}: tensor {shown(name)} is none of the network's, whose first is "
                f"{next(iter(shapes))}; names are those of the model that nas.build_model returns"
            )
        if value.shape != shapes[name]:
            raise NasError(
                f"{path}: tensor {name} has shape {value.shape}, the network's has {shapes[name]}"
            )
        if not np.isfinite(value).all():
            raise BadFile(f"{path}: tensor {name} has numbers that are not finite")
    if missing := [name for name in shapes if name not in found]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise NasError(f"{path} has no tensor {missing[0]}{more}")


def read_tensors(path: Path) -> dict[str, Array]:
    """Return the tensors of a file as float32, without the counters of batches.

    Raises:
        BadFile: if it cannot be read, is damaged, or holds something else.
    """
    content: Mapping[Any, Any] = load(path) if path.suffix == SUFFIX else _unpickled(path)
    for key in _INSIDE:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    result = {}
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise BadFile(
                f"{path}: {shown(name)} is no tensor but {type(value).__name__}; save the weights "
                "alone: torch.save(model.state_dict(), ...)"
            )
        if not name.endswith(_COUNTER):
            result[name.removeprefix(_WRAPPED)] = value.detach().to(torch.float32).numpy()
    return result


def _unpickled(path: Path) -> Mapping[Any, Any]:
    """Return the content of a file of torch.save; a pickle that wants code is refused."""
    try:
        with open_regular(path) as file, warnings.catch_warnings(action="ignore"):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged archive raises whatever torch and zip know
        if wanted := _CODE.search(str(error)):
            raise BadFile(
                f"{path} wants to run code when it is read ({wanted[1]}), and is refused; save the "
                "weights alone: torch.save(model.state_dict(), ...)"
            ) from None
        raise BadFile(
            f"{path} is no file of torch.save, is damaged, or holds more than tensors, which might "
            "run code; save the weights alone: torch.save(model.state_dict(), ...)"
        ) from None
    if not isinstance(content, Mapping):
        raise BadFile(f"{path} holds {type(content).__name__}, not tensors by name")
    return content
