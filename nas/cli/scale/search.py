"""Search for alpha, beta and gamma on a grid."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from nas.cli._data import DATA, as_word
from nas.cli._era import era
from nas.cli._options import COUNT, JSON, RECIPE, WHOLE, option
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, say
from nas.cli._progress import progress
from nas.cli.scale._tables import grid_remarks, grid_table
from nas.core.errors import NasError, missing_package, unknown
from nas.core.optional import optional
from nas.core.workers.runner import Runner, make_runner
from nas.latency.file import load_table
from nas.network.blocks import Architecture
from nas.scaling.formula import Compound
from nas.scaling.grid import Budget, Point, grid
from nas.scaling.search import RESULTS, GridScorer, Scored, by_model, record
from nas.scaling.search import search as search_grid
from nas.searching.runs.folder import find_architecture

EVALUATORS = ("train", "surrogate", "costs")


@click.command("search")
@click.argument("arch")
@click.option(
    "--evaluator", required=True, help="train (needs --data), surrogate or costs (no accuracy)."
)
@option("--budget", 2.0, "Cost of a scaled network, in multiples of the base's.", float)
@option("--tolerance", 0.1, "0.1 allows 1.9 to 2.1 times the cost for a budget of 2.", float)
@option("--step", 0.05, "Step of the grid.", float)
@option(
    "--by",
    "macs",
    "The cost that the budget bounds: macs (counted after rounding), latency (predicted by the "
    "table) or formula (alpha * beta^2 * gamma^2, not at equal cost).",
)
@click.option("--latency-table", help="A table to predict the latency with.")
@era()
@click.option("--data", default="", help=DATA)
@option("--recipe", "auto", f"How to train. {RECIPE}")
@option("--epochs", 10, kind=COUNT)
@click.option(
    "--train-resolution", type=click.IntRange(min=8), help="Pixels for the base. [default: its own]"
)
@option("--seed", 0, kind=WHOLE)
@option("--workers", 1, "Trainings at a time.", COUNT)
@click.option("--out", type=PATH, required=True, help="The folder; an existing search resumes.")
@click.option("--plot/--no-plot", default=True, help="Draw the grid into the folder.")
@JSON
def search(arch: str, evaluator: str, out: Path, plot: bool, as_json: bool, **flags: Any) -> None:
    """Search for the best way to scale ARCH: alpha, beta and gamma >= 1 within one budget.

    Every point of the grid is a network of --budget times the base's cost, within --tolerance; all
    points are scored. The paper's constraint, alpha * beta^2 * gamma^2, ignores rounding: networks
    that should have twice the MACs of EfficientNet-B0 have 1.9 to 3.3 times.
    """
    if evaluator not in EVALUATORS:
        raise unknown("evaluator", evaluator, EVALUATORS)
    base = find_architecture(arch)
    names = ("by", "tolerance", "step")
    budget = Budget(factor=flags["budget"], **{name: flags[name] for name in names})
    table = flags["latency_table"]
    points = grid(base, budget, table=load_table(table) if table else None)
    runner = make_runner("local", workers=flags["workers"])
    with closing(runner), progress("scoring", "networks") as update:
        scorer = _scorer(evaluator, base, points, runner=runner, out=out, flags=flags)
        rows = search_grid(base, budget, points, scorer, out=out, report=update)
    if as_json:
        print_json(_document(rows, scorer, budget, base, out))
    else:
        with optional("the table of the grid", say):
            _show(rows, scorer, budget, base)
            _suggest(rows[0].point.by, arch, out)
    if plot:
        with optional("the picture", say):
            _draw(rows, base, budget, scorer, out)


def _scorer(
    evaluator: str,
    base: Architecture,
    points: Sequence[Point],
    *,
    runner: Runner,
    out: Path,
    flags: dict[str, Any],
) -> GridScorer:
    """Return what scores the networks."""
    if evaluator == "costs":
        return GridScorer()
    if evaluator == "surrogate":
        return by_model(points)
    if not flags["data"]:
        raise NasError("--evaluator train needs --data, as in --data digits")
    try:
        from nas.scaling.training import TrainingSettings, by_training
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas scale search --evaluator train") from None
    scheme = TrainingSettings(
        resolution=flags["train_resolution"] or 0,
        **{name: flags[name] for name in ("data", "recipe", "epochs", "seed")},
    )
    return by_training(base, points, scheme, runner=runner, folder=out)


def _show(rows: Sequence[Scored], scorer: GridScorer, budget: Budget, base: Architecture) -> None:
    print_table(grid_table(rows, scorer, base))
    for line in grid_remarks(rows, budget):
        say(line)
    if scorer.note:
        say(scorer.note)


def _suggest(by: Compound, arch: str, out: Path) -> None:
    say(f"the whole grid is in {out / RESULTS}; next:")
    say(
        f"nas scale {as_word(arch)} --phi 1 --alpha {by.alpha:g} --beta {by.beta:g} "
        f"--gamma {by.gamma:g} --out scaled.yaml"
    )


def _document(
    rows: Sequence[Scored], scorer: GridScorer, budget: Budget, base: Architecture, out: Path
) -> dict[str, Any]:
    records = [record(row, scorer) for row in rows]
    return {
        "schema": 1,
        "run": str(out),
        "base": {"name": base.name, "fingerprint": base.fingerprint},
        "by": budget.by,
        "budget": budget.factor,
        "tolerance": budget.tolerance,
        "step": budget.step,
        "accuracy": {"metric": scorer.metric, "note": scorer.note},
        "failed": sum(bool(row.error) for row in rows),
        "best": records[0],
        "points": records,
    }


def _draw(
    rows: Sequence[Scored], base: Architecture, budget: Budget, scorer: GridScorer, out: Path
) -> None:
    from nas.report.scale_plots import draw_grid

    draw_grid(rows, base, budget, scorer, [out / "grid.png", out / "grid.svg"])
    say(f"picture: {out / 'grid.png'}")
