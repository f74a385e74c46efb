"""Errors that a user can cause: one line each, shown without a traceback, exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches

from nas.core.text import LONGEST_VALUE, one_line, shown


class NasError(Exception):
    """An error the user can correct; its message says what was found, where, and what to do.

    Whatever it quotes, the message is one line of at most 1,000 characters, without control
    characters or passwords from URLs.
    """

    def __init__(self, message: str = "") -> None:
        """Store the message in a form that is safe to print."""
        super().__init__(one_line(message))


class UnknownName(NasError):
    """A name that is not known."""


class BadFile(NasError):
    """A file that is missing, malformed, or has another schema."""


class BadValue(NasError):
    """A value that is not allowed; `path` leads to it through mappings and lists."""

    def __init__(self, message: str, *path: str | int) -> None:
        """Store the message and the path to the value."""
        super().__init__(message)
        self.path = path


class NotInSpace(NasError):
    """An architecture or picks outside of a search space."""


class MissingEntry(NasError):
    """Units that a latency table neither contains nor can predict."""


class Unreachable(NasError):
    """A constraint that no candidate can satisfy."""


class RunError(NasError):
    """A run folder that cannot be written, read, or continued."""


class BadPlugin(RunError):
    """A plugin that violates its contract, which ends the search instead of one trial."""


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
    """Return the first line of an error's message, or its type if the message is empty."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def typed_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


EXTRAS = {
    "torch": ("torch", "safetensors"),
    "measure": ("onnx", "onnxruntime", "scipy"),
    "litert": ("ai_edge_litert", "flatbuffers"),
    "hub": ("huggingface_hub",),
    "data": ("datasets", "faster_coco_eval", "kornia", "PIL", "sklearn"),
    "train": ("tensorboard",),
    "ray": ("ray", "fsspec"),
    "plot": ("matplotlib",),
}
"""The extras of this package, with the modules that they install."""

PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "PIL": "pillow",
    "faster_coco_eval": "faster-coco-eval",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Packages by the module they provide, where the names differ."""


def missing_package(error: ModuleNotFoundError, *, wanted_by: str) -> MissingPackage:
    """Return the error for a failed import: it names the extra, or else the package, to install."""
    module = (error.name or "").partition(".")[0]
    package = PACKAGES.get(module, module)
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    what = f"'nas[{extra}]'" if extra else package
    return MissingPackage(f"{wanted_by} needs {package}; install it: pip install {what}")
