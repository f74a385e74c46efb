"""Draw the pictures of a pipeline's stages, if matplotlib is installed."""

from pathlib import Path

from nas.core.optional import optional
from nas.latency.table import LatencyTable
from nas.pruning.netadapt import Result
from nas.searching.loop import Run
from nas.searching.solutions import known_solutions, left_out

FRONT, ROUNDS, CHANNELS = "search/front.png", "netadapt/rounds.png", "netadapt/channels.png"
PICTURES = {
    FRONT: "The front of the search: accuracy by its evaluator against predicted latency",
    ROUNDS: "NetAdapt: accuracy against predicted latency, round by round",
    CHANNELS: "NetAdapt: channels before and after",
}
"""The captions of the pictures, by their paths in a run."""


def draw_front_of(run: Run, out: Path) -> tuple[str, ...]:
    """Draw the front of a search into its folder; return what is missing in it, or why it is."""
    said: list[str] = []
    with optional("the picture of the front", said.append):
        from nas.report.plots import draw_front

        said += [line for line in (left_out(run.setup),) if line]
        draw_front(run, known_solutions(run.setup), [out / Path(FRONT).name])
    return tuple(said)


def draw_rounds_of(result: Result, table: LatencyTable, out: Path) -> tuple[str, ...]:
    """Draw the rounds of a pruning into its folder; return why one is missing, if so."""
    said: list[str] = []
    with optional("the pictures of the pruning", said.append):
        from nas.report.netadapt_plots import draw_channels, draw_rounds

        draw_rounds(result, table, [out / Path(ROUNDS).name])
        draw_channels(result.arch, result.best_arch, [out / Path(CHANNELS).name])
    return tuple(said)
