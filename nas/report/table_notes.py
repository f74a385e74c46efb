"""Facts and notes about a latency table: its origin, and how well it predicts."""

import os
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from nas.latency.backends import graph_of
from nas.latency.provenance import Validation
from nas.latency.table import Latency, LatencyTable

_PACKAGES = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert", "torch": "torch"}
_SPEED = 1.1


def facts(table: LatencyTable) -> dict[str, Any]:
    """Return what a machine reads of a table: everything but its units."""
    return {
        "name": table.name,
        "device": table.device,
        "runtime": table.runtime,
        "threads": table.threads,
        "dtype": table.dtype,
        "units": len(table.entries),
        "lacks": dict(table.lacks),
        "error": asdict(table.error),
        "validation": scores(table.validation) if table.validation else None,
        "elsewhere": {device: scores(one) for device, one in table.elsewhere.items()},
        "provenance": asdict(table.provenance) if table.provenance else None,
    }


def scores(validation: Validation) -> dict[str, Any]:
    """Return the figures of a validation, and the number of its networks."""
    figures = {name: value for name, value in asdict(validation).items() if name != "points"}
    return {**figures, "networks": len(validation.points)}


def notes(table: LatencyTable) -> tuple[str, ...]:
    """Return what users of a table should know: its validation, and another runtime here."""
    if table.provenance is None:
        return ()
    said = []
    if table.validation:
        said.append(f"validated on {table.validation.summary}")
    else:
        said.append("not validated; nas latency validate measures how far to trust it")
    said += [f"on {device}: {one.summary}" for device, one in table.elsewhere.items()]
    if table.lacks:
        said.append(f"{len(table.lacks)} units were refused by the runtime and are missing")
    said += filter(None, (other_runtime(table), other_threads(table), other_graphs(table)))
    return tuple(said)


def latency_remarks(latency: Latency) -> tuple[str, ...]:
    """Return which part of a prediction was not measured."""
    said = [f"beyond the table's measurements: {reason}" for reason in latency.outside]
    modelled = [unit for unit in latency.units if unit.extrapolated]
    if modelled:
        share = sum(unit.ms for unit in modelled) / latency.ms
        said.append(
            f"{len(modelled)} of {len(latency.units)} units, {100 * share:.0f} % of the time, were "
            "not measured but extrapolated by the operator model"
        )
    return tuple(said)


def other_runtime(table: LatencyTable) -> str:
    """Return a note if the runtime here is of another version than the table's."""
    name, _, measured = table.runtime.partition(" ")
    try:
        here = version(_PACKAGES.get(name, name))
    except PackageNotFoundError:
        return ""
    if not measured or here.startswith(measured):
        return ""
    return f"measured with {table.runtime}, and {name} is {here} here"


def other_threads(table: LatencyTable) -> str:
    """Return a note if OMP_NUM_THREADS is not the table's number of threads."""
    here = os.environ.get("OMP_NUM_THREADS", "")
    if not here.isdigit() or int(here) == table.threads:
        return ""
    return f"measured with {table.threads} threads, and OMP_NUM_THREADS is {here} here"


def other_graphs(table: LatencyTable) -> str:
    """Return a note if graphs like the table's are no longer written."""
    source = table.provenance
    if source is None or source.graph == graph_of(source.backend, table.dtype):
        return ""
    what = f"{table.dtype} graphs of {source.graph or 'an earlier version'}"
    return f"measured with {what}, which others have replaced; measure a new table"


def speed_note(validation: Validation) -> str:
    """Return a note if the machine was faster or slower than when the table was measured."""
    if 1 / _SPEED <= validation.speed <= _SPEED:
        return ""
    word = "slower" if validation.speed > 1 else "faster"
    return (
        f"the machine was {100 * abs(validation.speed - 1):.0f} % {word} than when the table was "
        "measured; times are given for its speed then"
    )


def width_note(table: LatencyTable) -> str:
    """Return a line on the width of the intervals of the measured units."""
    widths = [(entry.high_ms - entry.low_ms) / 2 / entry.ms for entry in table.entries.values()]
    if not widths:
        return "no unit was measured"
    middle, wide = 100 * float(np.median(widths)), 100 * float(np.quantile(widths, 0.9))
    return (
        f"90 % intervals of the units: ±{middle:.1f} % in the middle, ±{wide:.1f} % for the widest "
        f"tenth; error on networks left out of the fit: {100 * table.error.mean:.1f} %"
    )
