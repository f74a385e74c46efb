"""The folder of a pipeline: its settings, and a line for every finished stage.

`pipeline.yaml` holds the settings and can be run again; `pipeline.jsonl` has the settings and the
result of every finished stage. Each stage has its own folder beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from nas.core.data import flat
from nas.core.jsonl import Record, line_reader, resumed
from nas.core.run_folder import PIPELINE, check_kind, check_same, holds, read_lines
from nas.core.schema import SCHEMA, Milliseconds, OneOf, Seconds, Signed
from nas.latency.eras import settings_without_era
from nas.latency.measure.run import HERE
from nas.pipeline.config import STAGES, PipelineConfig, Quantization, to_mapping, write_pipeline
from nas.space.space import INT8
from nas.training.recipe_files import load_recipe
from nas.training.recipe_files import to_mapping as recipe_mapping
from nas.training.recipes import RECIPES

SETTINGS, JOURNAL = "pipeline.yaml", PIPELINE.mark
MEASURE = "measure"
"""The stage of the last line: all networks measured end to end."""
WEIGHTS = "weights"
"""The input that affects the section `train` and later ones, but not the search."""
ADDED = {
    "search.task": "classification",
    "search.head": "",
    f"train.{WEIGHTS}": "",
    "dtype": "",
    "measure_device": HERE,
}
"""Settings that earlier versions lacked, with the values they used."""
MAY_CHANGE = (
    *("out", "device", "measure_rounds", "measure_device", "netadapt.runner", "netadapt.workers"),
    *(f"search.{name}" for name in ("runner", "workers", "ray_address", "gpus_per_trial")),
)
"""Settings that do not change the results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    """The record of a network that a stage produced.

    `part` is "found", "trained", "pruned", "scaled" or "quantized" (one of the others in int8);
    `path` is its file or folder in the run; `scores` are accuracies by metric: `top1` on validation
    images, `test` on test images. `remarks` say which parts of its latency were not measured.
    """

    part: str
    name: str
    path: str
    fingerprint: str
    resolution: int
    latency_ms: Milliseconds
    latency_low_ms: Milliseconds
    latency_high_ms: Milliseconds
    macs: int
    params: int
    scores: Mapping[str, Signed]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """The result of a stage: networks, exported files, notes for readers, measured latencies."""

    networks: tuple[NetworkRecord, ...] = ()
    files: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    measured: Mapping[str, Any] | None = None
    seconds: Seconds = 0.0


def all_networks(results: Mapping[str, StageResult]) -> tuple[NetworkRecord, ...]:
    """Return the networks of all stages: found, trained, pruned, scaled."""
    return tuple(network for stage in results.values() for network in stage.networks)


class PipelineFolder:
    """The folder of one pipeline, open for writing in one process at a time.

    `inputs` are fingerprints of what the settings name: data, table, space, and the initial weights
    of trainings. A recipe that is not a preset is compared by its content.

    Raises:
        RunError: if a finished stage had other settings or inputs, or the folder holds something
            else, or cannot be written.
    """

    def __init__(self, path: Path, config: PipelineConfig, inputs: Mapping[str, str]) -> None:
        """Open or create the folder at `path`."""
        holds(path, PIPELINE)
        self.path, self._settings = path, _pinned(config, inputs)
        self.results: dict[str, StageResult] = {}
        with resumed(path / JOURNAL, {"schema": SCHEMA}, writer="another pipeline") as self._lines:
            self._replay(self._lines.records)
        write_pipeline(replace(config, out=str(path)), path / SETTINGS)

    def _replay(self, records: Sequence[Record]) -> None:
        for line in _lines_of(self.path / JOURNAL, records):
            start = f"{self.path}: stage {line.stage} is finished, and its"
            wanted = flat(self._up_to(line.stage))
            found = {name: value for name, value in ADDED.items() if name in wanted}
            found |= flat(_with_quantization(settings_without_era(line.settings), wanted))
            check_same(start, found, wanted, may_change=MAY_CHANGE, verb="was")
            self.results |= _results_of(line)

    def _up_to(self, stage: str) -> dict[str, Any]:
        """Return the settings that a stage depends on: all but those of later stages."""
        later = STAGES[STAGES.index(stage) + 1 :] if stage in STAGES else ()
        return {name: value for name, value in self._settings.items() if name not in later}

    def finish(self, stage: str, result: StageResult) -> None:
        """Record the result of a finished stage."""
        self._lines.append({"stage": stage, "settings": self._up_to(stage), "done": asdict(result)})
        self.results[stage] = result

    def close(self) -> None:
        """Close the journal, so that other processes may write."""
        self._lines.close()


def read_results(folder: Path) -> Mapping[str, StageResult]:
    """Return the results of the finished stages of a pipeline, without opening it for writing.

    Raises:
        NasError: if the folder is not a pipeline, or its journal is damaged.
    """
    check_kind(folder, PIPELINE)
    lines = _lines_of(folder / JOURNAL, read_lines(folder / JOURNAL))
    return {line.stage: line.done for line in lines}


def _lines_of(path: Path, records: Sequence[Record]) -> Iterator["_Line"]:
    """Yield the lines of finished stages."""
    for number, record in enumerate(records, start=1):
        if "stage" in record:
            yield line_reader(path, number).record(record, _Line)


def _with_quantization(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `settings` of a line with those that earlier versions quantized by in `export`.

    These had a section `export` without formats where the file had none.
    """
    if not _quantized_in_export(settings):
        return dict(settings)
    made = {**settings, "quantize": asdict(Quantization())}
    if "export.format" not in wanted and not made["export"]["format"]:
        del made["export"]
    return made


def _quantized_in_export(settings: Mapping[str, Any]) -> bool:
    """Tell whether a line is of an earlier version, whose stage `export` quantized."""
    is_int8 = settings.get("dtype") == INT8
    return is_int8 and "export" in settings and "quantize" not in settings


def _results_of(line: "_Line") -> dict[str, StageResult]:
    """Return the result of a stage, split in two where `export` quantized as well."""
    if line.stage != "export" or not _quantized_in_export(line.settings):
        return {line.stage: line.done}
    whole = tuple(file for file in line.done.files if str(file["format"]).endswith(INT8))
    others = tuple(file for file in line.done.files if file not in whole)
    return {
        "quantize": StageResult(networks=line.done.networks, files=whole),
        "export": replace(line.done, networks=(), files=others),
    }


def _pinned(config: PipelineConfig, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings with `inputs`, and the content of recipes that are not presets."""
    made = {"inputs": {k: v for k, v in inputs.items() if k != WEIGHTS}, **to_mapping(config)}
    if WEIGHTS in inputs:
        made["train"][WEIGHTS] = {"name": config.train.weights, "fingerprint": inputs[WEIGHTS]}
    for name in ("train", "netadapt", "quantize"):
        section = made.get(name)
        if section and section["recipe"] not in RECIPES:
            section["recipe"] = recipe_mapping(load_recipe(section["recipe"]))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The line of a finished stage."""

    stage: Annotated[str, OneOf((*STAGES, MEASURE))]
    settings: Mapping[str, Any]
    done: StageResult
