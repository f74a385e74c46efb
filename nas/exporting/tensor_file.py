"""Weights as a safetensors file that torch programs read."""

from collections.abc import Mapping

import numpy as np

from nas.core.errors import missing_package
from nas.network.weights import Array

TENSORS = "model.safetensors"
"""The name that other libraries expect."""


def tensor_file(tensors: Mapping[str, Array]) -> bytes:
    """Return the content of a safetensors file of `tensors`.

    Raises:
        MissingPackage: if safetensors is not installed.
    """
    try:
        from safetensors.numpy import save
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by=f"writing {TENSORS}") from None
    plain = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
    return save(plain, metadata={"format": "pt"})
