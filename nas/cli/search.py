"""Search a space for architectures within a latency budget."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._data import as_word
from nas.cli._places import ALLOW_PLUGINS, PATH, PLACE
from nas.cli._print import print_json, print_table, put, say
from nas.cli._progress import progress
from nas.core.errors import NasError
from nas.core.optional import optional
from nas.core.plugins import trusted, with_option
from nas.core.run_folder import MARKS, SEARCH, is_begun
from nas.core.storage import Place
from nas.core.text import file_name
from nas.latency.coverage import ON_MISSING
from nas.report.table_notes import notes
from nas.report.tables import (
    EXTRAPOLATED,
    accuracy_notes,
    front_table,
    headlines,
    latency_notes,
)
from nas.searching.config import SearchConfig, names_code, read_config
from nas.searching.loop import Run, explore, write
from nas.searching.precision import table_names, tables_for
from nas.searching.problem import FAILED, STOPPED
from nas.searching.runs.folder import CONFIG, MAY_CHANGE
from nas.searching.runs.watch import open_run
from nas.searching.solutions import Solution, left_out, record
from nas.searching.stored_space import space_of
from nas.space.lookup import distinct_units

if TYPE_CHECKING:  # what measures is imported where something is measured
    from nas.latency.measure.compare import LatencyCheck

_DEFAULTS = SearchConfig()


def _flag(name: str, help_text: str, **more: Any) -> Callable[[Any], Any]:
    """Return the option for one field of the settings; None where it is not given."""
    default = getattr(_DEFAULTS, name)
    shown = default if default not in ("", 0, ()) or name == "seed" else None
    shown = ", ".join(shown) if isinstance(shown, tuple) else shown
    text = f"{help_text} [default: {shown}]" if shown is not None else help_text
    many = isinstance(default, tuple)
    kind = str if many else type(default)
    return click.option(
        f"--{name.replace('_', '-')}", type=kind, multiple=many, default=None, help=text, **more
    )


@click.command("search")
@_flag("space", "A bundled space or a YAML file.")
@_flag("latency_table", "A bundled table or a YAML file; two with a comma, for fp32 and int8.")
@_flag("dtype", "fp32, int8, or fp32,int8 for both on one front. [default: that of the table]")
@_flag("task", "What the networks are for: classification or detection.")
@_flag("head", "The head of detectors, as in ssdlite or yolo:classes=3,resolution=416.")
@_flag("era", "See nas/latency/eras.py.", hidden=True)
@_flag(
    "limit",
    "A constraint, as in 'latency_ms<=80', 'params<=5M', 'size_mb<=4' (the weights) or "
    "'peak_mb<=2' (activations at a time); may be repeated.",
)
@_flag("limit_confidence", "Limit latency by the upper end of its interval, as in 0.9.")
@_flag("objective", "As in max:top1_proxy or min:macs; may be repeated.")
@_flag("reward", "MnasNet's reward as the objective, as in target=80,below=-0.07,above=-0.07.")
@_flag("evaluator", "The evaluator of accuracy: nas list evaluators.")
@_flag("strategy", "The search strategy: nas list strategies. [default: by the evaluator's cost]")
@_flag("trials", "How many candidates.")
@_flag("batch", "Candidates at once. [default: chosen by the strategy]")
@_flag("screen", "Candidates for each one that is evaluated, screened by a model of all trials.")
@_flag("seed", "Seed of all random numbers.")
@_flag("seed_arch", "An architecture to begin with, zoo or none; may be repeated.")
@_flag(
    "data", "What evaluators train or score on, as in imagefolder:/path, csv:labels.csv or digits."
)
@click.option(
    "--inherit",
    default=None,
    help="What --evaluator proxy begins with, where it fits: the weights of a training folder, a "
    "checkpoint, timm:ID, a supernet of the space or ofa:PATH.",
)
@_flag("runner", "What runs trainings: nas list runners.")
@_flag("workers", "Trainings at a time. [default: one per core]")
@_flag("ray_address", "The Ray cluster, as in auto. [default: with --runner ray a local one]")
@_flag("gpus_per_trial", "The share of a GPU for each trial on the cluster, as in 0.25.")
@click.option(
    "--deterministic",
    is_flag=True,
    default=None,
    help="Tell results of several workers in the order of asking: one front for a seed.",
)
@_flag("trial_seconds", "A trial that takes longer fails.")
@_flag("max_seconds", "End after so many seconds, all searches in the run folder together.")
@_flag("max_epochs", "End after so many epochs of training, together as well.")
@click.option(
    "--allow-extrapolation",
    is_flag=True,
    default=None,
    help="Search although all units lie outside of the table's range, or most of the latency was "
    "not measured but is extrapolated.",
)
@click.option(
    "--on-missing",
    type=click.Choice(ON_MISSING),
    default=None,
    help="What to do about units that a measured table lacks. [default: model]",
)
@click.option(
    "--check/--no-check",
    default=False,
    help="Measure the best architecture end to end on this machine, like the table's units.",
)
@ALLOW_PLUGINS
@click.option("--config", type=PATH, help="A run.yaml with these settings.")
@click.option(
    "--out",
    type=PLACE,
    help="The run folder, a path or a URL; an existing run is resumed. [default: runs/...]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Solutions of the front to print.",
)
@click.option("--plot/--no-plot", default=True, help="Draw the front into the run folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    config: Path | None, out: Place | None, top: int, plot: bool, as_json: bool, **flags: Any
) -> None:
    """Search a space for the best architectures under a latency budget.

    Everything is kept in the run folder, which may be at a URL; the same command resumes an
    interrupted search.
    """
    check = flags.pop("check")
    settings = _settings(config, out, flags)
    _measure_missing(settings, out)
    out = out or Place(_default_folder(settings))
    with open_run(out):
        with progress("searching", "candidates", at_once=True) as update:
            run = explore(settings, out=out, progress=update)
        write(run)
        known = _known(run)
        wanted = check and run.finished and bool(run.solutions)
        if as_json:
            found = _checked(out.here) if wanted else ()
            print_json({**_document(run), "checked": [one.record() for one in found]})
        else:
            with optional("the table of the front", say):
                _print_front(run, known, top)
            if wanted and (found := _checked(out.here)):
                _say_checked(found)
        if plot and run.solutions:
            with optional("the picture", say):
                _draw(run, known, out)
    if run.solutions:
        _say_folder(run)
    if len(run.trials) and len(run.trials.errors) == len(run.trials):
        raise click.exceptions.Exit(1)
    if not run.finished:
        say(
            f"stopped after {len(run.trials)} trials; "
            f"resume: {_resume_command(run.setup.config, out)}"
        )
        raise click.Abort
    if run.spent:
        _say_spent(run, out)


def _resume_command(config: SearchConfig, out: Place) -> str:
    """Return the command that resumes a search, with --allow-plugins where its settings need it."""
    trust = " --allow-plugins" if names_code(config) else ""
    return f"nas search --out {as_word(out)}{trust}"


def _say_spent(run: Run, out: Place) -> None:
    """Print which budget ended the search, and how to resume it with as much again."""
    config, flag = run.setup.config, f"--{run.spent.replace('_', '-')}"
    given = getattr(config, run.spent)
    say(
        f"{flag} {given} is used up after {len(run.trials)} of {config.trials} trials; "
        f"resume: {_resume_command(config, out)} {flag} {ceil(run.used) + given}"
    )


def _known(run: Run) -> tuple[Solution, ...]:
    """Return the known architectures to compare with; print which are left out."""
    with optional("known architectures", say):
        if run.solutions and (line := left_out(run.setup)):
            say(line)
        return run.known
    return ()


def _checked(here: Path) -> "tuple[LatencyCheck, ...]":
    """Return the best architecture as measured on this machine, nothing where that fails."""
    from nas.cli.latency._options import measuring
    from nas.searching.runs.check import check_run
    from nas.searching.runs.measured import store_measured

    with suppress(KeyboardInterrupt), optional("the check", say), measuring(kept=False) as report:
        found = check_run(here, ["best"], report=report)
        with optional("the measurement in the run folder", say):
            store_measured(here, [one.record() for one in found])
        return found
    return ()


def _say_checked(found: "Sequence[LatencyCheck]") -> None:
    from nas.cli.latency._options import say_checked

    say_checked(found, title="the best one, measured end to end")


def _settings(config: Path | None, out: Place | None, flags: Mapping[str, Any]) -> SearchConfig:
    """Return the settings of a run folder or a file, changed by the flags that were given."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in flags.items()
        if value not in (None, ()) and name != "allow_plugins"
    }
    inherit = given.pop("inherit", "")
    base = read_config(config) if config else _settings_of(out) if out else _DEFAULTS
    made = replace(trusted(base) if flags["allow_plugins"] else base, **given)
    if not inherit:
        return made
    return replace(made, evaluator=with_option("evaluators", made.evaluator, "inherit", inherit))


def _settings_of(out: Place) -> SearchConfig:
    """Return the settings of a run folder, the defaults where there is none yet."""
    with out.reading(*MARKS) as folder:
        return read_config(folder / CONFIG, kept=True) if is_begun(folder, SEARCH) else _DEFAULTS


def _measure_missing(settings: SearchConfig, out: Place | None) -> None:
    """Measure the units of the space that the latency table lacks, if asked for."""
    if settings.on_missing == "measure":
        from nas.cli.latency._options import measuring
        from nas.latency.measure.make import cover
        from nas.latency.measure.plan import measurable

        if settings.head:
            raise NasError(
                "units of detectors are not measured by a search; measure a table of them first: "
                f"nas latency measure --space {settings.space} --head {settings.head}"
            )
        space = space_of(settings.space, out.here if out else None)
        if not measurable(space):
            raise NasError(
                f"space {space.name} has too many units to measure them all; its table models most "
                "of them: `on_missing=model`"
            )
        units = distinct_units(space).values()
        with measuring() as report:
            for name, _ in tables_for(settings.latency_table, settings.dtype).values():
                cover(name, units, on_missing="measure", report=report)


def _default_folder(settings: SearchConfig) -> Path:
    """Return a folder for these settings, the same for the same ones."""
    defaults = asdict(_DEFAULTS)
    free = set(MAY_CHANGE) - {"trials"}
    what = {k: v for k, v in asdict(settings).items() if k not in free and v != defaults[k]}
    digest = hashlib.sha256(repr(what).encode()).hexdigest()[:6]
    first = table_names(settings.latency_table)[0]
    names = [Path(name).stem for name in (settings.space, first)]
    space, table = (file_name(name, default="own") for name in names)
    return Path("runs") / f"{space}-{table}-{digest}"


def _print_front(run: Run, known: Sequence[Solution], top: int) -> None:
    """Print the front and the notes on its numbers."""
    setup = run.setup
    if not run.solutions:
        say(_why_nothing(run))
        return
    print_table(front_table(run, known=known, top=top))
    put()
    if setup.problem.head:
        put(f"task: {setup.config.task} ({setup.searched})")
    for line in headlines(run.solutions, run.baseline, accuracy=setup.accuracy):
        put(line)
    for note in (setup.note, *(evaluator.note for evaluator in setup.problem.free)):
        if note:
            put(note)
    for note in accuracy_notes(run.solutions):
        put(f"{EXTRAPOLATED} {setup.accuracy}: {note}")
    for dtype, table in setup.tables.items():
        own = [solution for solution in run.solutions if solution.dtype == dtype]
        which = (table.name, table.device, table.runtime, *filter(None, (dtype,)))
        put(f"latency_ms: {', '.join(which)}")
        for note in (*latency_notes(own), *notes(table)):
            put(f"latency_ms: {note}")
    say(
        f"{len(run.trials):,} candidates{_stopped_or_failed(run)} in {run.seconds:.2f} s"
        f"{_rate(run)}"
    )


def _stopped_or_failed(run: Run) -> str:
    """Return how many candidates stopped early or failed, if any."""
    counts = {status: int((run.trials.status == status).sum()) for status in (STOPPED, FAILED)}
    said = [f"{count} {status}" for status, count in counts.items() if count]
    return f" ({', '.join(said)})" if said else ""


def _rate(run: Run) -> str:
    if not run.new:
        return ", none of them new"
    rate = run.new / run.seconds
    return f", {rate:,.0f} a second" if rate >= 1 else f", {1 / rate:,.1f} s each"


def _why_nothing(run: Run) -> str:
    failed = run.trials.errors
    if failed:
        number, text = next(iter(failed.items()))
        return (
            f"{len(failed)} of {len(run.trials)} trials failed, and the others are infeasible; "
            f"trial {number}: {text}; fix it and give another --out"
        )
    if not len(run.trials):
        return "no trial was finished"
    return f"none of {len(run.trials)} trials satisfied the constraints; more --trials may"


def _say_folder(run: Run) -> None:
    best = as_word(f"{run.out}:best")
    say(f"everything is in {run.out}; next: nas show {best}, or")
    say(f"nas export {best} --format onnx")
    say(f"all of it on one page: nas report {as_word(run.out)}")
    if run.setup.table.provenance and isinstance(run.out, Path):
        say(f"measure them on this machine: nas latency check {as_word(run.out)} --top 5")


def _document(run: Run) -> dict[str, Any]:
    setup, base, best = run.setup, run.baseline, run.best
    return {
        "schema": 1,
        "run": str(run.out),
        **{f"{k}": list(v) if isinstance(v, tuple) else v for k, v in asdict(setup.config).items()},
        "accuracy": {"metric": setup.accuracy, "note": setup.note},
        "trials": len(run.trials),
        "seconds": run.seconds,
        "stopped": int((run.trials.status == STOPPED).sum()),
        "failed": len(run.trials.errors),
        "finished": run.finished,
        "spent": run.spent,
        "hypervolume": run.hypervolume,
        "reference_point": run.reference_point.tolist() if run.solutions else None,
        "baseline": record(base, setup.accuracy, base) if base else None,
        "best": record(best, setup.accuracy, base) if best else None,
        "pareto": run.records(),
    }


def _draw(run: Run, known: Sequence[Solution], out: Place) -> None:
    from nas.report.plots import draw_front

    draw_front(run, known, [out.here / "front.png", out.here / "front.svg"])
    say(f"picture: {out / 'front.png'}")
