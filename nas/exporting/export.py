"""Export architectures through the exporter of a format."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.core import plugins
from nas.core.data import to_json
from nas.core.errors import NasError
from nas.core.files import write_text
from nas.core.plugins import Plugin
from nas.core.schema import SCHEMA
from nas.core.text import file_name
from nas.exporting.walk import file_metadata
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.network.detector import plain_detector
from nas.network.weights import Weights

_FORMS = {"yml": "yaml", "config": "ofa"}
"""Endings of files that are not the name of their exporter."""


def named(arch: Architecture) -> str:
    """Return the name of a file or folder for `arch`: its own as far as that is one."""
    return file_name(arch.name, default=arch.fingerprint)


def export(  # noqa: PLR0913  # all but the first are optional
    arch: Architecture,
    path: Path | str | None = None,
    *,
    form: str = "",
    weights: Weights | None = None,
    trained: Checkpoint | None = None,
    opset: int | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write `arch` to `path` in a format, and return the path.

    `form` is an exporter ("yaml", "json", "onnx", or one with options, as in "onnx:batch=1");
    without it the ending of `path` decides. Without `path` the file is named after the
    architecture. The weights of `trained`, and what it says about classes and the normalisation of
    images, go along where the format has room for them; for .tflite files also as JSON in a file
    beside them, since few runtimes give their metadata. `opset` is that of ONNX, the same as
    "onnx:opset=..." as the format. `notes` are those of a network without weights for its model
    card.

    Raises:
        NasError: if there is no such format, or the file cannot be written.
    """
    plugin = exporter_of(form, path)
    if opset is not None:
        plugin = replace(plugin, options={**plugin.options, "opset": str(opset)})
    exporter = plugins.create("exporters", plugin)
    target = Path(path) if path else Path(named(arch) + exporter.suffix)
    try:
        if trained and exporter.holds_weights:
            exporter(arch, target, trained.weights, trained.metadata)
            if beside := preprocessing_path(target):
                write_text(beside, to_json(preprocessing(arch, trained.metadata)))
        else:
            exporter(arch, target, weights, notes)
    except OSError as error:
        raise NasError(f"cannot write {target}: {error.strerror or error}") from None
    return target


def exporter_of(form: str, path: Path | str | None) -> Plugin:
    """Return the exporter that `form` names, or else the ending of `path`.

    Raises:
        NasError: if neither does.
    """
    ending = Path(path or "").suffix[1:]
    form = form or _FORMS.get(ending, ending)
    if not form:
        raise NasError("an export needs a format or a path that ends in one")
    return Plugin.parse(form)


def preprocessing_path(path: Path) -> Path | None:
    """Return the file beside an exported one that says how images become its input, if it has one.

    That is X.tflite.json for X.tflite.
    """
    is_file = path.suffix == ".tflite" and (path.is_file() or not path.exists())
    return path.with_name(f"{path.name}.json") if is_file else None


def preprocessing(arch: Architecture, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of a .tflite file of `arch` as plain data."""
    lists = {k: json.loads(metadata[k]) for k in ("mean", "deviation", "classes")}
    known = file_metadata(arch, metadata, layout="NHWC")
    scored: dict[str, Any] = {name: float(known[name]) for name in ("top1", "map") if name in known}
    detector = {"detector": plain_detector(arch.detector)} if arch.detector else {}
    return {"schema": SCHEMA, **known, "resolution": arch.resolution, **lists, **detector, **scored}
