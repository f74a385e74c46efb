"""Learn an accuracy model from the trials of finished searches."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.accuracy.examples import Examples
from nas.accuracy.predictor import write_accuracy_model
from nas.cli._data import as_word
from nas.cli._places import PATH, PLACE
from nas.cli._print import print_json, put, say
from nas.cli._progress import progress
from nas.core.errors import NasError, missing_package
from nas.core.optional import optional
from nas.core.storage import Place
from nas.searching.runs.examples import read_examples
from nas.searching.runs.stored import read_run

if TYPE_CHECKING:
    from nas.accuracy.learn import Fitted


@click.command("fit")
@click.argument("runs", metavar="RUN_DIR...", nargs=-1, required=True, type=PLACE)
@click.option("--out", type=PATH, required=True, help="The file of the model, as in my.npz.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed for folds and networks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(runs: tuple[Place, ...], out: Path, seed: int, as_json: bool) -> None:
    """Learn the accuracy of a space from the trials in one or more RUN_DIRs.

    All runs must have the same space, metric and evaluator. The model then replaces the evaluator,
    at a hundred thousand predictions per second.
    """
    if out.suffix != ".npz":
        raise NasError(f"--out {out}: the name of a model ends in .npz")
    examples = read_examples(runs)
    fitted = _fit(examples, seed)
    write_accuracy_model(fitted.model, out)
    if as_json:
        print_json(_document(examples, fitted, out))
        return
    say(f"wrote {out}")
    with optional("the summary", say):
        for line in _lines(fitted):
            put(line)
        space = read_run(runs[0]).config.space
        evaluator = as_word(f"surrogate:{out}")
        say(f"next: nas search --space {as_word(space)} --evaluator {evaluator}")


def _fit(examples: Examples, seed: int) -> "Fitted":
    """Fit with torch, which is imported only now."""
    try:
        from nas.accuracy.learn import fit_accuracy
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas surrogate fit") from None
    with progress("fitting", "steps") as update:
        return fit_accuracy(examples, seed=seed, report=update)


def _lines(fitted: "Fitted") -> list[str]:
    """Return the lines about the model."""
    model, held_out = fitted.model, fitted.model.held_out
    assert held_out is not None  # every fit has hold-out errors
    return [
        f"{model.metric} of space {model.space}, learned from {model.source}",
        f"hold-out: Kendall tau-b {held_out.tau:.3f}, R2 {held_out.r2:.3f}, mean absolute error "
        f"{held_out.mae:.4f} over {held_out.rows} architectures",
        f"within one standard deviation: {held_out.within_one:.0%} of them, within two: "
        f"{held_out.within_two:.0%} (68% and 95% if normal)",
        f"networks: R2 {fitted.distillation_r2:.4f} on the Gaussian process that they stand for, "
        f"{fitted.distillation_gap:.5f} from it",
    ]


def _document(examples: Examples, fitted: "Fitted", out: Path) -> dict[str, Any]:
    model = fitted.model
    return {
        "schema": 1,
        "path": str(out),
        "space": model.space,
        "metric": model.metric,
        "source": model.source,
        "fingerprint": model.fingerprint,
        "rows": len(examples),
        "held_out": asdict(model.held_out) if model.held_out else None,
        "imitation": {"r2": fitted.distillation_r2, "rmse": fitted.distillation_gap},
    }
