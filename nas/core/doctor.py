"""Report what is installed, what each command lacks, and the facts of this machine."""

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import isinf
from pathlib import Path

from nas.core.blas import blas_threads
from nas.core.errors import EXTRAS, PACKAGES
from nas.core.machine import available_cores, cpu_name, machine_memory
from nas.core.versions import code_version, version_of

BASE = ("numpy", "yaml", "click", "rich", "optuna", "pebble", "threadpoolctl", "filelock")
"""The modules that every command needs."""

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "nas search, show, list, scale": (),
    "nas search --data": ("torch", "data"),
    "nas train, eval, netadapt, pipeline": ("torch", "data"),
    "nas quantize": ("torch", "data", "measure"),
    "nas latency measure, validate, check": ("measure",),
    "nas latency measure --backend litert": ("litert",),
    "nas latency measure --backend torch_cpu": ("torch",),
    "nas export --format onnx": ("measure",),
    "nas export --format tflite": ("litert",),
    "nas surrogate fit": ("torch",),
    "--weights timm:..., hf:...": ("hub",),
    "--runner ray, and URLs": ("ray",),
    "pictures": ("plot",),
}
"""The extras that commands need."""

_TESTED = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
    "amx_int8", "amx_bf16", "neon", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Instruction sets that determine how fast networks run, by their names on Linux."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An extra of this package: the versions of its packages, None if not installed."""

    name: str
    packages: Mapping[str, str | None]

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name, version in self.packages.items() if version is None)

    @property
    def install(self) -> str:
        """The command that installs the extra."""
        return f"pip install 'nas[{self.name}]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """A cache folder and its size in bytes, None if it does not exist."""

    what: str
    path: str
    used: int | None


def extras() -> tuple[Extra, ...]:
    """Return all extras of this package."""
    return tuple(Extra(name=name, packages=versions(modules)) for name, modules in EXTRAS.items())


def versions(modules: tuple[str, ...]) -> dict[str, str | None]:
    """Return the versions of the packages of `modules`, None for those not installed."""
    names = {module: PACKAGES.get(module, module) for module in modules}
    return {name: version_of(name) if find_spec(module) else None for module, name in names.items()}


def commands(found: tuple[Extra, ...]) -> dict[str, tuple[Extra, ...]]:
    """Return the extras that each command lacks; none if it can run."""
    by_name = {extra.name: extra for extra in found}
    return {
        command: tuple(by_name[name] for name in names if by_name[name].missing)
        for command, names in COMMANDS.items()
    }


def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that matter for speed; none if the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    lines = (line for line in text.splitlines() if line.lower().startswith(("flags", "features")))
    known = set(next(lines, ":").partition(":")[2].split())
    return tuple(name for name in _TESTED if name in known)


def processor() -> dict[str, object]:
    """Return the facts about the processor, its memory and its threads."""
    memory = machine_memory()
    return {
        "processor": cpu_name(),
        "instruction_sets": list(instruction_sets()),
        "cores": available_cores(),
        "memory_gb": None if isinf(memory) else round(memory / 1e9, 1),
        "threads": blas_threads(),
        "settings": {name: os.environ[name] for name in _THREADS if name in os.environ},
    }


def software() -> dict[str, str | None]:
    """Return the versions of this package, Python, the system and required packages."""
    return {
        "nas": code_version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **versions(BASE),
    }


def caches() -> tuple[Cache, ...]:
    """Return the folders that hold downloads and working copies."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    hub = Path(os.environ.get("HF_HOME") or home / "huggingface")
    named = {
        "weights and data sets of the hub": hub,
        "working copies of folders at URLs": home / "nas",
    }
    return tuple(Cache(what=w, path=str(path), used=_size(path)) for w, path in named.items())


def free_gb() -> float:
    """Return the free gigabytes of the working folder's disk."""
    return shutil.disk_usage(Path.cwd()).free / 1e9


def _size(folder: Path) -> int | None:
    if not folder.is_dir():
        return None
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            total += 0 if path.is_symlink() else _bytes(path)
    return total


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # removed meanwhile
        return 0
