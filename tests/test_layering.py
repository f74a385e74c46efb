"""Imports go downward only, and heavy packages are imported on first use."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from nas.core.plugins import KINDS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "nas").rglob("*.py"))
HEAVY = {"torch", "onnx", "onnxruntime", "ai_edge_litert", "flatbuffers", "optuna", "ray",
         "matplotlib", "sklearn", "scipy", "datasets", "faster_coco_eval", "kornia", "PIL",
         "fsspec", "threadpoolctl", "filelock"}  # fmt: skip

ORDER = ("core", "network", "space", "exporting", "models", "training", "supernet", "latency",
         "accuracy", "searching", "pruning", "scaling", "report", "pipeline",
         "integrations", "testing", "cli")  # fmt: skip
"""The packages, each of which may import those before it."""
LOADS = {
    "accuracy": ("distill", "gaussian", "learn", "short", "short_int8", "zero_cost"),
    "core": ("workers.join", "workers.runners"),
    "latency": ("backends",),
    "integrations": ("optuna", "tune"),
    "exporting": ("formats", "int8.qdq", "int8.io_types"),
    "models": ("",),
    "pipeline": ("inputs", "measured", "quantized", "run", "stages"),
    "pruning": ("job", "run", "taylor"),
    "report": (
        "_drawing",
        "confusion_plots",
        "detection_plots",
        "latency_plots",
        "int8_plots",
        "netadapt_plots",
        "objective_plots",
        "plots",
        "scale_plots",
    ),
    "scaling": ("training",),
    "searching": ("evaluators", "strategies"),
    "supernet": ("",),
    "training": ("",),
}
"""Modules imported on first use, which may import torch and other large packages at the top."""


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "nas":
                yield from (f"nas.{alias.name}" for alias in node.names)
            elif node.module:
                yield node.module


def _inside(module: str, packages: Iterable[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


LARGE = tuple(f"nas.{name}.{part}".rstrip(".") for name, parts in LOADS.items() for part in parts)
PLUGINS = tuple(f"nas.{package}" for package in KINDS.values())


def test_every_module_lies_in_a_package() -> None:
    assert {path.name for path in (ROOT / "nas").glob("*.py")} == {"__init__.py"}
    assert {path.parent.name for path in (ROOT / "nas").glob("*/__init__.py")} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_imports_go_downward(path: Path) -> None:
    module = _module(path)
    if module == "nas":
        return  # it lists the public names
    package = module.split(".")[1]
    for wanted in _imports(ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        if wanted.startswith("nas."):
            below = ORDER[: ORDER.index(package) + 1]
            assert wanted.split(".")[1] in below, f"{module} must not import {wanted}"


def test_no_imports_go_in_a_circle() -> None:
    known = {_module(path): path for path in FILES}
    del known["nas"]  # it lists the public names
    graph = {}
    for module, path in known.items():
        found = set(_imports(ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
        graph[module] = (found & known.keys()) - {module}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_plugins_are_imported_by_name_alone(path: Path) -> None:
    """Shared code is in a file that begins with an underscore, or in `__init__`."""
    for wanted in _imports(ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        place, _, name = wanted.rpartition(".")
        assert place not in PLUGINS or name.startswith("_"), f"{path} must not import {wanted}"


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_large_packages_stand_at_the_top_where_they_may(path: Path) -> None:
    if not _inside(_module(path), LARGE):
        top = {name.partition(".")[0] for name in _imports(ast.parse(path.read_text()).body)}
        assert not top & HEAVY


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_files_stay_below_the_wall(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_command_line_and_the_core_import_nothing_heavy() -> None:
    names = [name for name in map(_module, FILES) if not _inside(name, LARGE)]
    code = f"""
import importlib, sys
import nas
for name in {names}:
    importlib.import_module(name)
print(*(name for name in {sorted(HEAVY)!r} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []


def test_nothing_prints_outside_of_the_command_line() -> None:
    for path in FILES:
        if not _inside(_module(path), ["nas.cli"]):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                name = node.func if isinstance(node, ast.Call) else None
                assert not (isinstance(name, ast.Name) and name.id == "print"), path


def test_no_pickles() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not {"pickle", "dill", "joblib", "shelve"} & set(_imports(ast.walk(tree))), path
