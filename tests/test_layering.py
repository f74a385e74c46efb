"""Imports go downward only, and heavy packages are imported when they are asked for."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "nas").rglob("*.py"))
HEAVY = {"torch", "onnx", "onnxruntime", "ai_edge_litert", "flatbuffers", "optuna", "ray",
         "matplotlib", "sklearn", "scipy", "datasets", "kornia", "PIL", "fsspec",
         "threadpoolctl"}  # fmt: skip

LEVELS = (
    ("text",),
    ("blas", "errors", "rounding", "strict_json"),
    ("files", "reader", "strict_yaml"),
    ("data", "extras", "lines", "pareto", "remote", "signals", "versions"),
    ("plugins",),
    ("arch", "machine", "rungs", "run_kind", "runner"),
    ("layers", "scaling"),
    ("choices", "cost", "operators", "provenance", "tflite_file", "weights", "zoo"),
    ("boundary", "checkpoint", "graph", "memory", "space", "tflite"),
    ("space_file", "lookup"),
    ("latency", "latency_dialects", "accuracy", "examples"),
    ("latency_file", "latency_import", "latency_export"),
    ("compound", "pruning"),
    ("problem",),
    ("evaluate", "seeding", "journal", "promise"),
    ("kernel_model",),
    ("screening",),
    ("session", "config"),
    ("exporting", "folder", "members", "reach", "streaming", "watch"),
    ("finished", "searching", "status", "study", "summary"),
)
"""A module of one line may import those of the lines above it."""
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
PLUGINS = ("strategies", "evaluators", "exporters", "backends", "dialects", "runners")
HIGHEST_FOR_PLUGINS = LEVEL["session"]
DRAWING = {
    ("report", name)
    for name in ("plots", "latency_plots", "scale_plots", "netadapt_plots", "_drawing")
}


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


def _parts(module: str) -> tuple[str, ...]:
    return tuple(module.split(".")[1:])


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_imports_go_downward(path: Path) -> None:
    place = _parts(_module(path))
    if not place or path.parts[-2:] == ("nn", "__init__.py"):
        return  # the package lists its public names
    for module in _imports(ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        target = _parts(module)
        if module.startswith("nas.") and not _is_allowed(place, target):
            pytest.fail(f"{_module(path)} must not import {module}")


def _is_allowed(place: tuple[str, ...], target: tuple[str, ...]) -> bool:
    folder = place[0]
    if folder == "cli":
        return True
    if folder == "measuring":  # stands below report and cli, and knows backends by their protocol
        return target[0] in (*LEVEL, "measuring") or target == ("backends",)
    if folder == "cluster":  # stands below cli, over the trainings that it spreads
        return target[0] in (*LEVEL, "cluster", "nn")
    if folder == "pipeline":  # stands below cli, over all that it puts together but plugins
        return target[0] in (*LEVEL, "pipeline", "nn", "measuring", "report")
    if folder == target[0] and folder in LEVEL:
        return True
    if folder == target[0]:  # shared code of a folder: _name, or its top
        return len(target) == 1 or target[1].startswith("_") or folder == "nn"
    if folder in ("report", "nn") or folder in PLUGINS:
        lowest = {"report": len(LEVELS), "nn": LEVEL["problem"]}.get(folder, HIGHEST_FOR_PLUGINS)
        from_nn = target[0] in ("nn", "cluster") and folder in PLUGINS
        measured = target[0] == "measuring" and folder == "report"
        return from_nn or measured or LEVEL.get(target[0], len(LEVELS)) < lowest
    assert folder in LEVEL, f"give nas/{folder}.py a level in {Path(__file__).name}"
    return LEVEL.get(target[0], len(LEVELS)) < LEVEL[folder]


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_heavy_packages_stand_at_the_top_of_plugins_only(path: Path) -> None:
    place = _parts(_module(path))
    if place[:1] in {(name,) for name in (*PLUGINS, "cluster", "nn")} or place in DRAWING:
        return
    top = {name.partition(".")[0] for name in _imports(ast.parse(path.read_text()).body)}
    assert not top & HEAVY


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_files_stay_below_the_wall(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_command_line_and_the_core_import_nothing_heavy() -> None:
    light = {*LEVEL, "cli", "measuring"}
    names = [_module(path) for path in FILES if light & {*_parts(_module(path))[:1]}]
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
        if _parts(_module(path))[:1] != ("cli",):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                name = node.func if isinstance(node, ast.Call) else None
                assert not (isinstance(name, ast.Name) and name.id == "print"), path


def test_no_pickles() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not {"pickle", "dill", "joblib", "shelve"} & set(_imports(ast.walk(tree))), path
