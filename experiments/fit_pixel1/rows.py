"""Turn published measurements into rows of lowered units, one for each latency."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from nas.latency.predictor import counts_of, extents
from nas.network.blocks import Architecture, Block
from nas.network.layers import Unit
from nas.network.lowering import lower, lower_block
from nas.network.zoo import load_architecture

NETWORKS = "published_end_to_end.json"
BLOCKS = "single_path_nas_blocks.csv"
SINGLE_PATH_STEM_AND_HEAD_MS = 9.18  # Single-Path NAS, the constant of its latency model
CLASSIFIER_MS = 0.310  # 1280 -> 1000, from the table of ProxylessNAS
FAMILIES = (
    "MobileNetV1",
    "MobileNetV2",
    "MobileNetV3",
    "MnasNet-A1",
    "MnasNet-small",
    "MBConv",
    "ProxylessNAS",
    "SinglePathNAS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One published latency, with the counts that explain it."""

    name: str
    family: str
    runtime: str
    ms: float
    resolution: int
    counts: Mapping[str, int]
    kernel: int

    @property
    def plain_hswish(self) -> bool:
        """Whether h-swish ran without its optimised kernel."""
        return self.runtime != "tflite2019"

    @property
    def build(self) -> str:
        """The runtime whose factor applies; optimising h-swish changes nothing else."""
        return self.runtime.removesuffix("-noopt-hswish")


def _counts(units: Iterable[Unit]) -> dict[str, int]:
    total: dict[str, int] = {}
    for unit in units:
        for name, count in counts_of(unit).items():
            total[name] = total.get(name, 0) + count
    return total


def _block(row: Mapping[str, Any], gate: str) -> Block:
    separable = row["pact"] is not None
    return Block(
        kind="separable" if separable else "mbconv",
        in_channels=row["cin"],
        out_channels=row["cout"],
        hidden_channels=0 if separable else row["mid"],
        kernel=row["k"],
        stride=row["s"],
        se_channels=row["se"],
        act=row["act"],
        gate=gate,
        skip="identity" if row["skip"] else "none",
    )


def _head(row: list[Any]) -> Block:
    kinds = {"conv1x1": "conv", "pool": "pool", "fc": "linear"}
    if row[0] == "pool":
        return Block(kind="pool", in_channels=row[1], out_channels=row[1])
    act = row[3] or "none"
    return Block(kind=kinds[row[0]], in_channels=row[1], out_channels=row[2], act=act)


def to_architecture(record: Mapping[str, Any]) -> Architecture:
    """Return the architecture of one record of the file of networks."""
    channels, act = record["stem"]
    gate = "hsigmoid" if "MobileNetV3" in record["name"] else "sigmoid"
    stem = Block(kind="conv", in_channels=3, out_channels=channels, kernel=3, stride=2, act=act)
    return Architecture(
        name=record["name"],
        resolution=record["resolution"],
        stem=(stem,),
        stages=(tuple(_block(row, gate) for row in record["blocks"]),),
        head=tuple(_head(row) for row in record["head"]),
    )


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the records of published networks."""
    return list(json.loads((folder / NETWORKS).read_text(encoding="utf-8")))


def network_rows(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return a row for every network measured on Pixel 1."""
    return [
        Row(
            name=record["name"],
            family=next(f for f in FAMILIES if record["name"].startswith(f)),
            runtime=record["runtime"],
            ms=record["ms"],
            resolution=record["resolution"],
            counts=_counts(lower(to_architecture(record))),
            kernel=max(block["k"] for block in record["blocks"]),
        )
        for record in records
        if record["device"] == "pixel1"
    ]


def _block_row(line: Mapping[str, str]) -> Row:
    n = {key: int(value) for key, value in line.items() if key != "ms"}
    block = Block(
        kind="mbconv",
        in_channels=n["cin"],
        out_channels=n["cout"],
        hidden_channels=n["mid"],
        kernel=n["kernel"],
        stride=n["stride"],
        act="relu",
        skip="identity" if n["skip"] else "none",
    )
    unit = lower_block(block, (n["cin"], n["h_in"], n["h_in"]))
    return _part("block " + unit.key, (unit,), float(line["ms"]))


def _part(name: str, units: Iterable[Unit], ms: float, *, runtime: str = "cmu2019") -> Row:
    units = tuple(units)
    kernel = max(unit.block.kernel for unit in units)
    return Row(
        name=name, family="blocks", runtime=runtime, ms=ms, resolution=224,
        counts=_counts(units), kernel=kernel,
    )  # fmt: skip


def block_rows(folder: Path) -> list[Row]:
    """Return a row for every measured block, for stem plus head, and for a lone classifier."""
    with (folder / BLOCKS).open(encoding="utf-8", newline="") as file:
        rows = [_block_row(line) for line in csv.DictReader(file)]
    stem, *_, conv, pool, classifier = lower(load_architecture("single_path_nas"))
    return [
        *rows,
        _part("stem and head", (stem, conv, pool, classifier), SINGLE_PATH_STEM_AND_HEAD_MS),
        # One small number says nothing about the runtime of another laboratory.
        _part("classifier", (classifier,), CLASSIFIER_MS, runtime="tflite2018"),
    ]


def ranges(records: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return the least and the largest value of every extent over all networks."""
    values: dict[str, list[int]] = {}
    for record in records:
        for unit in lower(to_architecture(record)):
            for layer in unit.layers:
                for name, value in extents(layer):
                    values.setdefault(name, []).append(value)
    return {name: (min(seen), max(seen)) for name, seen in values.items()}


def minimalistic(arch: Architecture) -> Architecture:
    """Return a MobileNetV3 without squeeze-and-excitation, h-swish and 5x5 kernels."""

    def plain(block: Block) -> Block:
        act = "relu" if block.act == "hswish" else block.act
        return replace(block, se_channels=0, act=act, kernel=min(block.kernel, 3))

    return replace(
        arch,
        stem=tuple(map(plain, arch.stem)),
        stages=tuple(tuple(map(plain, stage)) for stage in arch.stages),
        head=tuple(map(plain, arch.head)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A published latency that was not fitted."""

    name: str
    device: str
    year: str
    ms: float
    source: str
    arch: Architecture


def held_back(path: Path, records: Iterable[Mapping[str, Any]]) -> list[Check]:
    """Return the held-out published networks."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {record["name"]: to_architecture(record) for record in records}
    checks = []
    for row in content["networks"]:
        name, published = row["name"], row["ms"]
        if name in known:
            arch = known[name]
        elif name.endswith("_minimalistic"):
            arch = minimalistic(load_architecture(name.removesuffix("_minimalistic")))
        else:
            arch = load_architecture(name)
        checks += [
            Check(
                name=name,
                device=device,
                year=row["year"],
                ms=float(ms),
                source=content["sources"][row["source"]],
                arch=arch,
            )
            for device, ms in published.items()
        ]
    return checks
