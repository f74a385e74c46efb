"""The report folder of a pipeline: one page for readers, one document for machines."""

from nas.core.data import to_json, to_yaml
from nas.core.extras import Say, extra
from nas.core.files import write_text
from nas.core.schema import SCHEMA
from nas.pipeline.config import to_mapping
from nas.pipeline.outcome import Outcome, networks_table
from nas.pipeline.pictures import PICTURES
from nas.report.page import Part, Picture, page

REPORT = "report"
PAGE, RESULT = "index.html", "result.json"
_WHAT = {"top1": "accuracy", "map": "average precision"}


def write_report(outcome: Outcome, say: Say) -> None:
    """Write the document and the page into `report/` of the run, each atomically.

    Where the page cannot be written, a line says why.

    Raises:
        BadFile: if the document cannot be written.
    """
    folder = outcome.out / REPORT
    write_text(folder / RESULT, to_json(outcome.record()))
    with extra("the report's page", say):
        write_text(folder / PAGE, page(f"Pipeline {outcome.out.name}", _parts(outcome)))
        say(f"the report is {folder / PAGE}")


def _parts(outcome: Outcome) -> tuple[Part, ...]:
    pictures = [
        Picture(path=outcome.out / name, text=text)
        for name, text in PICTURES.items()
        if (outcome.out / name).is_file()
    ]
    table, asked = networks_table(outcome), {"schema": SCHEMA, **to_mapping(outcome.config)}
    return (
        Part(heading="Networks", texts=_texts(outcome), headings=table.headings, rows=table.rows),
        Part(heading="What to know about the numbers", points=outcome.notes),
        Part(heading="Pictures", pictures=tuple(pictures)),
        Part(
            heading="Exported files",
            headings=("file", "network", "format", "KiB"),
            rows=_files(outcome),
        ),
        Part(
            heading="What took how long",
            headings=("stage", "seconds, of the run that finished it"),
            rows=_stages(outcome),
        ),
        Part(heading="What was asked", code=to_yaml(asked)),
    )


def _texts(outcome: Outcome) -> tuple[str, ...]:
    table, measured = outcome.table, outcome.measured
    said = [
        f"Predicted by {table.name}: {table.device}, {table.runtime}. {outcome.metric} is the "
        f"{_WHAT[outcome.metric]} on the validation images of {outcome.config.data}, which pick "
        "the epoch; test that on images which nothing else has seen."
    ]
    if measured:
        said.append(
            f"Measured end to end, in turns: {measured['cpu']}, {measured['runtime']}, "
            f"{measured['threads']} thread(s), {measured['dtype']}."
        )
    return tuple(said)


def _files(outcome: Outcome) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (f["path"], f["network"], f["format"], f"{f['bytes'] / 1024:.1f}") for f in outcome.files
    )


def _stages(outcome: Outcome) -> tuple[tuple[str, ...], ...]:
    return tuple((name, f"{done.seconds:.1f}") for name, done in outcome.done.items())
