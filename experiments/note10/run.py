"""Make `note10` from the latencies published with Once-for-All, and compare it with networks."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nas.latency.file import write_table
from nas.latency.measure.foreign import import_table
from nas.latency.predictor import OpModel, extents
from nas.latency.provenance import TableError
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.zoo import load_architecture

OUT = Path(__file__).parents[2] / "latency_tables" / "note10.yaml"
NETWORKS = {
    "note10_lat-11ms_top1-73.6_finetune-25": 11.0,
    "note10_lat-22ms_top1-76.6_finetune-25": 22.0,
    "note10_lat-41ms_top1-79.3_finetune-75": 41.0,
    "note10_lat-64ms_top1-80.2_finetune-75": 64.0,
}
"""Networks published for this phone, with the milliseconds that their names state."""
HEADING = """Samsung Galaxy Note 10 CPU, from the latencies of units published with Once-for-All
written by: python -m experiments.note10.run --tables DIR --networks DIR"""


def predicted(table: LatencyTable, archs: Sequence[Architecture]) -> dict[str, float]:
    """Return the predictions of `table` for the published networks, by their names."""
    return {name: table.predict(arch).ms for name, arch in zip(NETWORKS, archs, strict=True)}


def widened(model: OpModel, archs: Sequence[Architecture]) -> OpModel:
    """Return `model` with the range of the published networks, which it was checked on."""
    ranges = {name: list(ends) for name, ends in model.ranges.items()}
    for arch in archs:
        for layer in (layer for unit in lower(arch) for layer in unit.layers):
            for name, value in extents(layer):
                low, high = ranges[name]
                ranges[name] = [min(low, value), max(high, value)]
    sides = [*model.resolution, *(arch.resolution for arch in archs)]
    return replace(
        model,
        ranges={name: (low, high) for name, (low, high) in ranges.items()},
        resolution=(min(sides), max(sides)),
    )


def checked(table: LatencyTable, said: dict[str, float]) -> LatencyTable:
    """Return `table` with its errors on these networks and its provenance."""
    size = np.abs([said[name] / ms - 1 for name, ms in NETWORKS.items()])
    mean = round(float(size.mean()), 4)
    return replace(
        table,
        core="one thread",
        runtime="TensorFlow Lite, as used for Once-for-All",
        sources=(
            "Cai et al., 2020 (Once-for-All): 450 units of its MobileNetV3 space at width 1.2 and "
            "five resolutions, 500 runs each, MIT License",
        ),
        weak=(
            "whole networks were not measured by us: their error is that on four networks, whose "
            "latency was published in whole milliseconds",
            "width 1.0 comes from the operator model; two of the four networks have it",
            *table.weak[1:],
        ),
        error=TableError(
            scheme="four published networks, by the milliseconds in their names",
            networks=len(size),
            mean=mean,
            mean_large=mean,
            worst=round(float(size.max()), 4),
        ),
    )


def main() -> None:
    """Write the table and print its errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="once_for_all_note10")
    parser.add_argument("--networks", type=Path, required=True, help="net_configs")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    table, _ = import_table(
        "ofa", [given.tables], device="Samsung Galaxy Note 10", threads=1, name="note10", model=True
    )
    archs = [load_architecture(str(given.networks / f"{name}.json")) for name in NETWORKS]
    assert table.model is not None
    table = replace(table, model=widened(table.model, archs))
    said = predicted(table, archs)
    write_table(checked(table, said), given.out, heading=HEADING)
    model = predicted(replace(table, entries={}), archs)
    print("| network | published ms | table | its operator model alone |\n|---|---|---|---|")
    for name, ms in NETWORKS.items():
        print(f"| `{name}` | {ms:.0f} | {said[name]:.1f} | {model[name]:.1f} |")
    print(f"\nunits: {table.weak[-1]}")


if __name__ == "__main__":
    main()
