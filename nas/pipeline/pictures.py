"""The pictures of a pipeline's stages, where matplotlib is there to draw them."""

from pathlib import Path

from nas.errors import missing_package
from nas.latency import LatencyTable
from nas.members import references
from nas.pruning.netadapt import Result
from nas.searching import Run

FRONT, ROUNDS, CHANNELS = "search/front.png", "netadapt/rounds.png", "netadapt/channels.png"
PICTURES = {
    FRONT: "The front of the search: accuracy by its evaluator against predicted latency",
    ROUNDS: "NetAdapt: accuracy against predicted latency, round by round",
    CHANNELS: "NetAdapt: channels before and after",
}
"""Where the pictures lie in a run, and what they show."""


def draw_front_of(run: Run, out: Path) -> str:
    """Draw the front of a search into its folder; return what kept it from being drawn."""
    try:
        from nas.report.plots import draw_front
    except ModuleNotFoundError as error:
        return str(missing_package(error, wanted_by="the picture of the front"))
    if run.members:
        draw_front(run, references(run.setup), [out / Path(FRONT).name])
    return ""


def draw_rounds_of(result: Result, table: LatencyTable, out: Path) -> str:
    """Draw the rounds of a pruning into its folder; return what kept them from being drawn."""
    try:
        from nas.report.netadapt_plots import draw_channels, draw_rounds
    except ModuleNotFoundError as error:
        return str(missing_package(error, wanted_by="the pictures of the pruning"))
    draw_rounds(result, table, [out / Path(ROUNDS).name])
    draw_channels(result.arch, result.best_arch, [out / Path(CHANNELS).name])
    return ""
