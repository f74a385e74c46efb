"""The page of whatever a command left: a folder of any kind, or a latency table."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from nas.core.data import bundled
from nas.core.errors import BadFile, RunError
from nas.core.run_folder import (
    MARKS,
    NETADAPT,
    PIPELINE,
    SCALING,
    SEARCH,
    SUPERNET,
    TRAINING,
    Kind,
    kind_of,
)
from nas.core.storage import Place, is_url
from nas.core.text import file_name
from nas.latency.file import load_table
from nas.pipeline.config import read_pipeline
from nas.pipeline.journal import SETTINGS, read_results
from nas.pipeline.report import PAGE, REPORT, pipeline_page
from nas.pipeline.result import PipelineResult
from nas.report.int8_page import QUANTIZATION, int8_page
from nas.report.page import Page
from nas.report.pruning_page import pruning_page
from nas.report.scaling_page import scaling_page
from nas.report.search_page import search_page
from nas.report.table_page import table_page
from nas.report.training_page import training_page

NAME = "report.html"
_TABLES = (".yaml", ".yml", ".json")


def page_of(text: str) -> Page:
    """Return the page of a folder, by its path or URL, or of a latency table, by name or file.

    Raises:
        NasError: if there is nothing that a page is made of, or it is damaged.
    """
    if _is_table(text):
        return table_page(text)
    place = Place(text)
    with place.reading(*MARKS, QUANTIZATION) as here:
        kind = kind_of(here)
        is_int8 = kind is None and (here / QUANTIZATION).is_file()
    if kind is not None:
        return _PAGES[kind](place)
    if is_int8:
        return int8_page(place)
    if Path(text).is_file():
        raise BadFile(f"{text} is no latency table, which is a .yaml or .json file, and no folder")
    if not is_url(text) and not Path(text).is_dir():
        raise BadFile(f"{text}: No such file or directory; give a run folder or a latency table")
    raise RunError(
        f"{text} is no folder of nas search, train, supernet train, netadapt, scale search, "
        "pipeline or quantize"
    )


def page_file(text: str) -> Path:
    """Return the file that the page of `text` is written into by default.

    That is in its folder, beside its file, or for a URL or a bundled table in the working folder.
    """
    if is_url(text) or _is_bundled(text):
        last = file_name(text.rstrip("/").rpartition("/")[2], default="report")
        return Path(f"{last}.html")
    path = Path(text)
    if _is_table(text):
        return path.with_suffix(".html")
    return path / REPORT / PAGE if kind_of(path) is PIPELINE else path / NAME


def _is_table(text: str) -> bool:
    return not is_url(text) and (_is_bundled(text) or Path(text).suffix in _TABLES)


def _is_bundled(text: str) -> bool:
    return text in bundled("latency_tables") and not Path(text).exists()


def _pipeline(place: Place) -> Page:
    """Return the page of a pipeline, whose stages may not all be finished.

    Raises:
        NasError: if it is at a URL, or damaged, or its latency table is gone.
    """
    if not isinstance(place.kept, Path):
        raise RunError(f"{place}: the page of a pipeline is made of a folder here; copy it")
    out = place.kept
    config = read_pipeline(out / SETTINGS)
    table = load_table(config.latency_table)
    result = PipelineResult(config=config, out=out, table=table, results=read_results(out))
    return pipeline_page(result)


_PAGES: Mapping[Kind, Callable[[Place], Page]] = {
    SEARCH: search_page,
    TRAINING: training_page,
    SUPERNET: partial(training_page, kind=SUPERNET),
    NETADAPT: pruning_page,
    SCALING: scaling_page,
    PIPELINE: _pipeline,
}
