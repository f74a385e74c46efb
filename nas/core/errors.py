"""The errors a user can cause: one line each, shown without a traceback, exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches

from nas.core.text import LONGEST_VALUE, one_line, shown


class NasError(Exception):
    """Something the user can correct; the message says what was found, where, and what to do.

    Whatever the message quotes, it is one line of at most 1,000 characters, without control
    characters and without the passwords of URLs.
    """

    def __init__(self, message: str = "") -> None:
        """Keep the message in a form that is safe to print."""
        super().__init__(one_line(message))


class UnknownName(NasError):
    """A name that is not known."""


class BadFile(NasError):
    """A file that is missing, malformed, or of another schema."""


class BadValue(NasError):
    """A value that is not allowed; `path` leads to it through mappings and lists."""

    def __init__(self, message: str, *path: str | int) -> None:
        """Keep the message and the steps that lead to the value."""
        super().__init__(message)
        self.path = path


class NotInSpace(NasError):
    """An architecture, or picks, that a search space does not contain."""


class MissingEntry(NasError):
    """Units that a latency table has not measured and cannot predict."""


class Unreachable(NasError):
    """A constraint that nothing can satisfy."""


class RunError(NasError):
    """A run folder that cannot be written, read, or continued."""


class BadPlugin(RunError):
    """A plugin that does not keep to what is agreed; this ends a search instead of one trial."""


class MissingPackage(NasError):
    """An optional package that is not installed; the message names what to install."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Return the error for a name that is not among `known`, naming the closest matches."""
    names = sorted(known)
    close = get_close_matches(name[:LONGEST_VALUE], names, n=3, cutoff=0.5)
    if close:
        return UnknownName(f"unknown {kind} {shown(name)}; did you mean {', '.join(close)}?")
    return UnknownName(f"unknown {kind} {shown(name)}; there are: {', '.join(names) or 'none'}")


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, its type where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def typed_line(error: BaseException) -> str:
    """Return the type of an error and the first line of what it says."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


_EXTRAS = {
    "torch": ("torch", "safetensors"),
    "measure": ("onnx", "onnxruntime", "scipy"),
    "litert": ("ai_edge_litert", "flatbuffers"),
    "hub": ("huggingface_hub",),
    "data": ("datasets", "faster_coco_eval", "kornia", "PIL", "sklearn"),
    "train": ("tensorboard",),
    "ray": ("ray", "fsspec"),
    "plot": ("matplotlib",),
}
"""The extras of this package with the modules that they bring."""

_PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "PIL": "pillow",
    "faster_coco_eval": "faster-coco-eval",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Packages whose modules have other names."""


def missing_package(error: ModuleNotFoundError, *, wanted_by: str) -> MissingPackage:
    """Return the error that says what to install for a failed import: an extra if one has it."""
    module = (error.name or "").partition(".")[0]
    package = _PACKAGES.get(module, module)
    extra = next((extra for extra, modules in _EXTRAS.items() if module in modules), None)
    what = f"'nas[{extra}]'" if extra else package
    return MissingPackage(f"{wanted_by} needs {package}; install it: pip install {what}")
