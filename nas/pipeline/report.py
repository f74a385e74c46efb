"""The report folder of a pipeline: one page for readers, one document for machines."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from nas.core.data import to_json, to_yaml
from nas.core.errors import NasError
from nas.core.files import write_text
from nas.core.optional import Say, optional
from nas.core.run_folder import kind_of
from nas.core.schema import SCHEMA
from nas.core.storage import Place
from nas.pipeline.config import to_mapping
from nas.pipeline.pictures import CHANNELS, PICTURES
from nas.pipeline.result import PipelineResult, networks_table
from nas.report.page import Page, Part, Picture, rendered
from nas.report.pruning_page import pruning_parts
from nas.report.search_page import search_page
from nas.report.training_page import training_parts

REPORT = "report"
PREDICTED = "train/predictions.png"
PAGE, RESULT = "index.html", "result.json"
_WHAT = {"top1": "accuracy", "map": "average precision"}


def write_report(result: PipelineResult, say: Say) -> None:
    """Write the document and the page into `report/` of the run, each atomically.

    Where the page cannot be written, a line says why.

    Raises:
        BadFile: if the document cannot be written.
    """
    folder = result.out / REPORT
    write_text(folder / RESULT, to_json(result.record()))
    with optional("the report's page", say):
        write_text(folder / PAGE, rendered(pipeline_page(result)))
        say(f"the report is {folder / PAGE}")


def pipeline_page(result: PipelineResult) -> Page:
    """Return the page of a pipeline, with those of its search, training and pruning inside."""
    table, asked = networks_table(result), {"schema": SCHEMA, **to_mapping(result.config)}
    return Page(
        title=f"Pipeline {result.out.name}",
        facts={
            "networks": str(len(result.networks)),
            "data": result.config.data,
            "latency": f"{result.table.device}, {result.table.runtime}",
            "stages done": f"{len(result.results)}",
        },
        parts=(
            Part(
                heading="Networks",
                texts=_texts(result),
                headings=table.headings,
                rows=table.rows,
            ),
            Part(heading="What to know about the numbers", points=result.notes),
            *(part for stage in _INSIDE for part in _stage(stage, result.out / stage)),
            Part(heading="Pictures", pictures=_pictures(result.out)),
            Part(
                heading="Exported files",
                headings=("file", "network", "format", "KiB"),
                rows=_files(result),
            ),
            Part(
                heading="What took how long",
                headings=("stage", "seconds, of the run that finished it"),
                rows=_stages(result),
            ),
            Part(heading="What was asked", code=to_yaml(asked)),
        ),
    )


_INSIDE: Mapping[str, Callable[[Path], tuple[Part, ...]]] = {
    "search": lambda folder: search_page(Place(folder)).parts,
    "train": training_parts,
    "netadapt": pruning_parts,
}
"""The parts of the pages of stages, by the names of stages and of their folders."""
_LEFT_OUT = ("Settings", "Where they come from", "Pictures")


def _stage(stage: str, folder: Path) -> tuple[Part, ...]:
    """Return the parts of a stage; one that says why where its folder cannot be read."""
    if kind_of(folder) is None:
        return ()
    try:
        parts = _INSIDE[stage](folder)
    except NasError as error:
        return (Part(heading=stage, texts=(f"not shown: {error}",)),)
    wanted = [part for part in parts if part.heading not in _LEFT_OUT]
    return tuple(replace(part, heading=f"{stage}: {_lower(part.heading)}") for part in wanted)


def _lower(heading: str) -> str:
    return f"{heading[:1].lower()}{heading[1:]}"


def _pictures(out: Path) -> tuple[Picture, ...]:
    """Return the pictures of what the page has no chart of."""
    named = {CHANNELS: PICTURES[CHANNELS], PREDICTED: "What the detector finds"}
    shown = {name: text for name, text in named.items() if (out / name).is_file()}
    return tuple(Picture(path=out / name, text=text) for name, text in shown.items())


def _texts(result: PipelineResult) -> tuple[str, ...]:
    table, measured = result.table, result.measured
    said = [
        f"Predicted by {table.name}: {table.device}, {table.runtime}. {result.metric} is the "
        f"{_WHAT[result.metric]} on the validation images of {result.config.data}, which pick "
        "the epoch; test that on images which nothing else has seen."
    ]
    if measured:
        said.append(
            f"Measured end to end, in turns: {measured['cpu']}, {measured['runtime']}, "
            f"{measured['threads']} thread(s), {measured['dtype']}."
        )
    return tuple(said)


def _files(result: PipelineResult) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (f["path"], f["network"], f["format"], f"{f['bytes'] / 1024:.1f}") for f in result.files
    )


def _stages(result: PipelineResult) -> tuple[tuple[str, ...], ...]:
    return tuple((name, f"{one.seconds:.1f}") for name, one in result.results.items())
