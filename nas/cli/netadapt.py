"""Prune the channels of a trained network until it is fast enough."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.cli._data import DATA, as_word
from nas.cli._era import era
from nas.cli._options import COUNT, DEVICE, JSON, RATE, RECIPE, WHOLE, F, option
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, put, say
from nas.cli._progress import progress
from nas.cli._pruned import before_and_after, notes, round_text, speedup_text
from nas.cli._trained import WEIGHTS, find_trained, how_found
from nas.core import plugins
from nas.core.data import to_json
from nas.core.errors import missing_package
from nas.core.files import write_text
from nas.core.optional import optional
from nas.core.plugins import Plugin
from nas.core.text import file_name
from nas.core.workers.runner import make_runner
from nas.exporting.export import named
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import HERE
from nas.latency.measure.speedup import Speedup, measure_speedup, target_like
from nas.latency.table import LatencyTable
from nas.network.checkpoint import SUFFIX, Checkpoint, metric_of
from nas.pruning.folder import FINAL, settings_in
from nas.pruning.netadapt import BY, CHOICES, DEFAULT_KINDS, Result, Round, Settings, check
from nas.pruning.slicing import IMPORTANCES
from nas.pruning.tracing import KINDS
from nas.searching.precision import DTYPES, table_for
from nas.space.space import INT8
from nas.training.recipe_files import find_recipe
from nas.training.recipes import RECIPES, adapt

if TYPE_CHECKING:
    from nas.pipeline.quantized import QuantizationResult
    from nas.pruning.job import PruningJob

_DEFAULTS = Settings(target_ms=1.0)
RESULT = "result.json"


def _setting(name: str, text: str, kind: Any = None) -> Callable[[F], F]:
    """Return the option of a field of `Settings`."""
    return option(f"--{name.replace('_', '-')}", getattr(_DEFAULTS, name), text, kind)


@click.command("netadapt")
@click.argument("arch", metavar="ARCH|RUN")
@click.option("--latency-table", required=True, help="A bundled table, or a YAML or JSON file.")
@era()
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    help="int8: the target is an int8 latency, and the result is quantized. [default: the table's]",
)
@click.option("--target-ms", type=float, required=True, help="Prune until the table predicts this.")
@click.option("--data", required=True, help=DATA)
@click.option(
    "--weights",
    help=f"The weights of ARCH: a training folder, a checkpoint, or {WEIGHTS}.",
)
@_setting("epochs", "Epochs of fine-tuning for every proposal.", WHOLE)
@click.option("--steps", type=WHOLE, default=0, help="Steps of the same, instead of --epochs.")
@_setting("final_epochs", "Epochs of fine-tuning for the pruned network.", WHOLE)
@_setting("step", "What a round saves: 0.01 or 1% of the present latency, or 2ms.")
@_setting("decay", "Factor on the step from round to round.", float)
@_setting(
    "by", "The quantity that a round saves; the target is always a latency.", click.Choice(BY)
)
@_setting(
    "choose",
    "Choose the most accurate proposal, or the best change of accuracy per cost saved.",
    click.Choice(CHOICES),
)
@option(
    "--prune", ",".join(DEFAULT_KINDS), f"Which channels may be cut, out of {', '.join(KINDS)}."
)
@_setting("multiple", "Channel counts are multiples of this.", COUNT)
@_setting(
    "importance",
    "Which channels are kept: those with the largest norm (l1, l2: of the filters; bn: of the "
    "normalisation), or those that affect the loss most, to first order (taylor).",
    click.Choice(IMPORTANCES),
)
@_setting(
    "shortlist",
    "The number of proposals fine-tuned per round: the most promising ones, to first order. "
    "0 means all, as in the paper.",
    WHOLE,
)
@_setting("held_out", "The hold-out fraction of the training images, to score proposals.", float)
@option("--recipe", "auto", f"How to fine-tune. {RECIPE}")
@click.option(
    "--lr", type=RATE, help="The peak learning rate of fine-tuning. [default: the recipe's]"
)
@click.option("--batch", type=COUNT, help="Batch size. [default: the recipe's]")
@option("--workers", 1, "Proposals fine-tuned at a time.", COUNT)
@option("--runner", "local", "Where several workers run.")
@DEVICE
@option(
    "--measure-rounds",
    24,
    "Repetitions when start and result are measured end to end; 0 skips the measurement.",
    WHOLE,
)
@option("--measure-device", HERE, "Where they are measured: local, or ssh:user@host.")
@click.option(
    "--out",
    type=PATH,
    help="The run folder; an existing run resumes. [default: runs/netadapt-...]",
)
@_setting("seed", "Seed for hold-out images, order and augmentation.", WHOLE)
@JSON
def command(arch: str, as_json: bool, out: Path | None, **flags: Any) -> None:
    """Prune the channels of a trained network until a latency table predicts the target.

    ARCH is a training folder, a checkpoint, or with --weights an architecture. Every round cuts the
    group of channels whose removal costs the least accuracy (NetAdapt; with --choose ratio, the
    variant of MobileNetV3). The paper's algorithm is --shortlist 0 --importance l2. The same
    command resumes an interrupted run.
    """
    start = find_trained(arch, flags["weights"])
    table = table_for(flags["latency_table"], flags["dtype"] or "")
    plugins.create("devices", Plugin.parse(flags["measure_device"]))
    known = settings_in(out) if out else {}
    settings = _settings(flags, known)
    check(start.arch, table, settings)
    lineage = how_found(arch, weights=flags["weights"] or arch)
    more = {"lineage": lineage, **_recipe(flags, known)}
    job = _job(start, table, settings, {**flags, **more})
    folder = out or _default_folder(job)
    result = _prune(job, folder, flags, quiet=as_json)
    document = {"schema": 1, "run": str(folder), **result.record(), "measured": None}
    write_text(folder / RESULT, to_json(document))
    whole = _quantized(job, folder) if flags["dtype"] == INT8 else None
    if whole:
        document["int8"] = whole.record(relative_to=folder)
        write_text(folder / RESULT, to_json(document))
    speedup = None
    device = flags["measure_device"]
    place = "this machine" if device == HERE else device
    with optional(f"a measurement on {place}", say):
        speedup = _measured(result, table, flags)
    if speedup:
        document["measured"] = speedup.record()
        write_text(folder / RESULT, to_json(document))
    if as_json:
        print_json(document)
    else:
        with optional("the summary", say):
            _print(result, table, speedup)
            if whole:
                put(whole.text)
                say(f"wrote {whole.path}")
    with optional("the pictures", say):
        _draw(result, table, folder)
    if not as_json:
        data = as_word(flags["data"])
        word = as_word(folder)
        say(f"the result is in {folder}; next: nas eval {word} --data {data}, or")
        say(f"nas export {word} --format onnx")


def _print(result: Result, table: LatencyTable, speedup: Speedup | None) -> None:
    """Print the result of the pruning."""
    if speedup:
        put(speedup_text(speedup))
    print_table(before_and_after(result, table))
    for note in notes(result, table, speedup):
        say(note)


def _settings(flags: dict[str, Any], known: Mapping[str, Any]) -> Settings:
    """Return the settings of the flags; defaults are replaced by those of the run `known`."""
    own = {name: flags[name] for name in Settings.__dataclass_fields__}
    own["prune"] = own["prune"].replace(" ", "").split(",")
    source = click.get_current_context().get_parameter_source
    for name in own:
        if source(name) is ParameterSource.DEFAULT:
            own[name] = _kept(known, f"settings.{name}", own[name])
    return Settings(**{**own, "prune": tuple(own["prune"])})


def _recipe(flags: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return recipe and rate of the flags; defaults are replaced by those of the run `known`."""
    source = click.get_current_context().get_parameter_source
    name = flags["recipe"]
    if source("recipe") is ParameterSource.DEFAULT and known.get("recipe.name") in RECIPES:
        name = known["recipe.name"]
    says = name in RECIPES and "lr" not in known.get("recipe.auto", ())
    return {"recipe": name, "lr": flags["lr"] or (_kept(known, "recipe.lr", 0.0) if says else 0.0)}


def _kept(known: Mapping[str, Any], name: str, default: Any) -> Any:
    """Return a setting of a known run if it has the right type, else the default."""
    found = known.get(name)
    return found if type(found) is type(default) else default


def _job(
    start: Checkpoint, table: LatencyTable, settings: Settings, flags: dict[str, Any]
) -> "PruningJob":
    try:
        from nas.pruning.job import PruningJob, check_job
        from nas.training.data import load_data
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas netadapt") from None
    recipe = adapt(find_recipe(flags["recipe"]), batch=flags["batch"] or 0, lr=flags["lr"])
    data = load_data(flags["data"])
    job = PruningJob(
        start=start, data=data, table=table, settings=settings, recipe=recipe,
        device=flags["device"], lineage=flags["lineage"],
    )  # fmt: skip
    check_job(job)
    return job


def _default_folder(job: "PruningJob") -> Path:
    """Return a folder named after the settings."""
    what = (job.settings, job.recipe, job.data.name, job.table.name, str(job.start.path))
    digest = hashlib.sha256(repr(what).encode()).hexdigest()[:6]
    table = file_name(job.table.name, default="table")
    return Path("runs") / f"netadapt-{named(job.start.arch)}-{table}-{digest}"


def _prune(job: "PruningJob", folder: Path, flags: dict[str, Any], *, quiet: bool) -> Result:
    """Run the rounds, printing a line for each."""
    from nas.pruning.run import Listener, netadapt

    def tell(one: Round) -> None:
        (say if quiet else put)(round_text(one, metric=metric_of(job.start.arch)))

    with (
        closing(make_runner(flags["runner"], workers=flags["workers"])) as runner,
        progress("fine-tuning", "done") as update,
    ):
        listener = Listener(round=tell, update=update)
        return netadapt(job, folder, runner=runner, listener=listener)


def _quantized(job: "PruningJob", folder: Path) -> "QuantizationResult":
    """Quantize the result, and evaluate it with onnxruntime."""
    try:
        from nas.pipeline.quantized import quantize_into
        from nas.training.int8.choice import QuantizationSettings
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="quantizing") from None
    final = folder / f"{FINAL}{SUFFIX}"
    path = folder / f"{FINAL}.int8.onnx"
    with progress("quantizing", "steps") as update:
        settings = QuantizationSettings(seed=job.settings.seed)
        return quantize_into(str(final), job.data, path, settings=settings, report=update)


def _measured(result: Result, table: LatencyTable, flags: Mapping[str, Any]) -> Speedup | None:
    """Measure start and result end to end on a device; None without rounds."""
    rounds = flags["measure_rounds"]
    if not rounds:
        return None
    from nas.cli.latency import _options as options

    with options.measuring() as report:
        target = target_like(table, flags["measure_device"])
        archs = result.arch, result.best_arch
        return measure_speedup(*archs, target, rounds=Rounds.of(rounds), report=report)


def _draw(result: Result, table: LatencyTable, folder: Path) -> None:
    """Draw the pictures, and print their paths."""
    from nas.report.netadapt_plots import draw_channels, draw_rounds

    rounds, channels = folder / "rounds.png", folder / "channels.png"
    draw_rounds(result, table, [rounds])
    draw_channels(result.arch, result.best_arch, [channels])
    say(f"pictures: {rounds}, {channels}")
