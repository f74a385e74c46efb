"""The result of a pipeline: the same numbers for machines, the terminal and the report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.core.schema import SCHEMA
from nas.latency.table import LatencyTable
from nas.pipeline.config import PipelineConfig, to_mapping
from nas.pipeline.journal import MEASURE, NetworkRecord, StageResult, all_networks
from nas.report.table_notes import notes
from nas.report.tables import Table, accuracy_text
from nas.searching.metrics import FRACTIONS
from nas.space.space import INT8


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineResult:
    """A finished pipeline: its settings, and the result of each stage."""

    config: PipelineConfig
    out: Path
    table: LatencyTable
    results: Mapping[str, StageResult]

    @property
    def networks(self) -> tuple[NetworkRecord, ...]:
        """All networks in the order of the stages: found, trained, pruned, scaled."""
        return all_networks(self.results)

    @property
    def metric(self) -> str:
        """The metric that trained networks are compared by: `map` for detectors, else `top1`."""
        return "map" if any("map" in network.scores for network in self.networks) else "top1"

    @property
    def files(self) -> tuple[Mapping[str, Any], ...]:
        """The exported files: network, format, path in the run, bytes."""
        return tuple(file for result in self.results.values() for file in result.files)

    @property
    def measured(self) -> Mapping[str, Any] | None:
        """The measurements, with runtime and processor; None if there are none."""
        return self.results[MEASURE].measured if MEASURE in self.results else None

    def measured_of(self, network: NetworkRecord) -> Mapping[str, Any] | None:
        """Return the measured ms of one network with its interval."""
        measured: Mapping[str, Any] = self.measured or {}
        # the same architecture
        name = "trained" if network.part == "found" else network.name
        if network.part == "quantized" and measured.get("dtype") == INT8:
            name = name.removesuffix("-int8")
        found: Mapping[str, Any] | None = measured.get("networks", {}).get(name)
        return found

    def is_predicted(self, network: NetworkRecord) -> bool:
        """Return whether the table predicts the latency of a network in its dtype."""
        return network.part != "quantized" or self.table.precision == INT8

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about the numbers for readers."""
        said = [note for result in self.results.values() for note in result.notes]
        said += [f"latency_ms: {note}" for note in notes(self.table)]
        remarks: dict[str, list[str]] = {}
        for network in self.networks:
            for remark in network.remarks:
                remarks.setdefault(remark, []).append(network.name)
        said += [f"latency_ms of {', '.join(names)}: {text}" for text, names in remarks.items()]
        provenance = self.table.provenance
        if self.measured and (not provenance or provenance.cpu != self.measured["cpu"]):
            said.append(
                f"latency_ms is predicted for {self.table.device}, and measured_ms is of another "
                f"device, {self.measured['cpu']}"
            )
        return tuple(said)

    def record(self) -> dict[str, Any]:
        """Return the result as plain data."""
        measured = dict(self.measured or {})
        measured.pop("networks", None)
        return {
            "schema": SCHEMA,
            "run": str(self.out),
            "asked": to_mapping(self.config),
            "table": {
                "name": self.table.name,
                "device": self.table.device,
                "runtime": self.table.runtime,
            },
            "networks": [self._network(network) for network in self.networks],
            "exported": [dict(file) for file in self.files],
            "measured": measured or None,
            "notes": list(self.notes),
            "stages": [{"stage": name, "seconds": d.seconds} for name, d in self.results.items()],
            "seconds": round(sum(result.seconds for result in self.results.values()), 3),
        }

    def _network(self, network: NetworkRecord) -> dict[str, Any]:
        found = self.measured_of(network) or {}
        facts = asdict(network)
        del facts["scores"], facts["remarks"]
        if not self.is_predicted(network):
            facts |= dict.fromkeys(("latency_ms", "latency_low_ms", "latency_high_ms"))
        return {
            **facts,
            **{f"measured_{k}": found.get(k) for k in ("ms", "low_ms", "high_ms")},
            self.metric: None,
            "test": None,
            **network.scores,
        }


def networks_table(result: PipelineResult) -> Table:
    """Return a table with a row for each network."""
    networks, usual = result.networks, (result.metric, "test")
    extra = dict.fromkeys(k for n in networks for k in n.scores if k not in usual)
    return Table(
        title=f"{result.out}: {len(networks)} networks, predicted for {result.table.device}",
        headings=(
            "network",
            "predicted ms",
            "measured ms",
            "MACs M",
            "params M",
            "px",
            f"{result.metric} %",
            "test %",
            *(f"{metric} %" if metric in FRACTIONS else metric for metric in extra),
        ),
        rows=tuple(_row(result, network, tuple(extra)) for network in networks),
    )


def _row(result: PipelineResult, network: NetworkRecord, extra: tuple[str, ...]) -> tuple[str, ...]:
    found, scores = result.measured_of(network), network.scores
    usual = (result.metric, "test")
    title = network.part if network.name == network.part else f"{network.part}: {network.name}"
    return (
        title,
        f"{network.latency_ms:.4g}" if result.is_predicted(network) else "",
        f"{found['ms']:.4g}" if found else "",
        f"{network.macs / 1e6:.4g}",
        f"{network.params / 1e6:.4g}",
        str(network.resolution),
        *(accuracy_text(scores[k], result.metric) if k in scores else "" for k in usual),
        *(accuracy_text(scores[k], k) if k in scores else "" for k in extra),
    )
