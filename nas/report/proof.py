"""What a latency table says of itself: where it is from, and how well it was seen to predict."""

import os
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

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
        "provenance": asdict(table.provenance) if table.provenance else None,
    }


def scores(proof: Validation) -> dict[str, Any]:
    """Return the figures of a validation, and how many networks they are of."""
    figures = {name: value for name, value in asdict(proof).items() if name != "points"}
    return {**figures, "networks": len(proof.points)}


def notes(table: LatencyTable) -> tuple[str, ...]:
    """Say what whoever uses a table should know: its proof, and another runtime at hand."""
    if table.provenance is None:
        return ()
    said = []
    if table.validation:
        said.append(f"checked on {table.validation.summary}")
    else:
        said.append("never checked; nas latency validate tells how far to trust it")
    if table.lacks:
        said.append(f"{len(table.lacks)} units were refused by the runtime and are missing")
    said += [text for text in (other_runtime(table), other_threads(table)) if text]
    return tuple(said)


def latency_remarks(latency: Latency) -> tuple[str, ...]:
    """Say what of a prediction was not measured."""
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
    """Say that the runtime at hand is of another version than the table's, if it is."""
    name, _, measured = table.runtime.partition(" ")
    try:
        here = version(_PACKAGES.get(name, name))
    except PackageNotFoundError:
        return ""
    if not measured or here.startswith(measured):
        return ""
    return f"measured with {table.runtime}, and {name} is {here} here"


def other_threads(table: LatencyTable) -> str:
    """Say that programs are told here to use another number of threads than the table's."""
    here = os.environ.get("OMP_NUM_THREADS", "")
    if not here.isdigit() or int(here) == table.threads:
        return ""
    return f"measured with {table.threads} threads, and OMP_NUM_THREADS is {here} here"


def speed_note(proof: Validation) -> str:
    """Say how fast the machine was at the validation, where that differs from the table's time."""
    if 1 / _SPEED <= proof.speed <= _SPEED:
        return ""
    word = "slower" if proof.speed > 1 else "faster"
    return (
        f"the machine was {100 * abs(proof.speed - 1):.0f} % {word} than when the table was "
        "measured; times are given for its speed then"
    )


def width_note(table: LatencyTable) -> str:
    """Say how narrow the intervals of the measured units are."""
    widths = [(entry.high_ms - entry.low_ms) / 2 / entry.ms for entry in table.entries.values()]
    if not widths:
        return "no unit was measured"
    middle, wide = 100 * float(np.median(widths)), 100 * float(np.quantile(widths, 0.9))
    return (
        f"90 % intervals of the units: ±{middle:.1f} % in the middle, ±{wide:.1f} % for the widest "
        f"tenth; networks of the calibration left out: {100 * table.error.mean:.1f} % off"
    )
