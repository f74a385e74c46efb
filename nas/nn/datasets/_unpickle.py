"""Read the pickles of the CIFAR archives without running what a pickle may hold.

A pickle is a program: it may import any function and call it. These archives are published as
pickles, so they must be read, but by an unpickler that refuses every name but the four they need,
and hands out stand-ins for those: no function of numpy or of Python is ever called by a file. What
comes out is dictionaries, lists, texts, numbers and arrays of bytes. Nothing is ever written so.
"""

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import BadFile


class _Array:
    """Stands in for an array of bytes: remembers its shape and content."""

    pixels: NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, type, order, content), as numpy arrays are pickled."""
        _, shape, kind, columns_first, content = state
        if not isinstance(kind, _Type) or kind.name not in (b"u1", "u1"):
            raise pickle.UnpicklingError("an array of another type than bytes")
        content = content.encode("latin1") if isinstance(content, str) else content
        values = np.frombuffer(content, np.uint8)
        self.pixels = values.reshape(shape, order="F" if columns_first else "C")


class _Type:
    """Stands in for the type of an array: remembers its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Take what numpy says of byte order, which bytes do not have."""


def _array(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, by which Python 3 writes bytes in old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding!r}")
    return text.encode("latin1")


STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names in `STAND_INS` and no other."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name; called for every name that a pickle imports."""
        try:
            return STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def unpickle(content: bytes, *, place: str) -> dict[str, Any]:
    """Return the dictionary of a CIFAR file: texts as str, arrays as uint8.

    Raises:
        BadFile: naming `place`, if it is no such file, or asks for anything else.
    """
    try:
        data = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a rotten pickle raises almost anything
        raise BadFile(f"{place} is no file of a CIFAR archive: {error or 'rotten'}") from None
    if not isinstance(data, dict):
        raise BadFile(f"{place} is no file of a CIFAR archive: it holds no dictionary")
    return {_text(key): _plain(value) for key, value in data.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return getattr(value, "pixels", None)
    if isinstance(value, list):
        return [_text(item) for item in value]
    return _text(value)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
