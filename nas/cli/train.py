"""Train an architecture on your own data."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._cluster import check_cluster, is_distributed, on_cluster, workers_of
from nas.cli._data import DATA, as_word
from nas.cli._options import COUNT, DEVICE, JSON, RATE, RECIPE, WHOLE, option
from nas.cli._places import PLACE
from nas.cli._print import print_json, put, say
from nas.cli._progress import progress
from nas.cli._resumed import ResumedTraining, find_resumed, is_default, recipe_of, settings_of
from nas.cli._trained import WEIGHTS, how_found
from nas.core.errors import NasError, missing_package
from nas.core.optional import optional
from nas.core.storage import Place, split_name
from nas.core.text import counted, file_name
from nas.exporting.export import named
from nas.network.blocks import Architecture
from nas.network.checkpoint import architecture_of, find_checkpoint, load_checkpoint
from nas.network.detectors import backbone_in, has_head
from nas.network.lineage import Lineage
from nas.network.multipliers import scale_resolution
from nas.searching.runs.folder import find_architecture
from nas.training.recipe_files import find_recipe, pinned
from nas.training.recipes import Recipe, adapt, advice

if TYPE_CHECKING:
    from nas.training.data import Data
    from nas.training.job import Options, TrainingJob
    from nas.training.run import Trained

_RUNTIME_FLAGS = ("device", "workers", "ray_address", "cpus_per_worker", "gpus_per_worker")
"""Settings that may change when a training is resumed."""
_LATER_FLAGS = ("inherit", "quantize")
"""Settings that earlier versions did not have; the folder's name does not follow their defaults."""
INT8 = "int8"
"""The recipe of trainings with quantization."""
PREDICTIONS = "predictions.png"
"""What a detector finds in some validation images, in its training folder."""


@click.command("train")
@click.argument("arch", required=False)
@click.option("--data", help=f"{DATA} Required with ARCH.")
@option("--recipe", "auto", f"How to train. {RECIPE}")
@click.option(
    "--epochs",
    type=COUNT,
    help="The length of the training; with more than it has, the training in --out is extended, "
    "and its learning rate follows the schedule of the new length. [default: the recipe's]",
)
@click.option("--batch", type=COUNT, help="Images at once. [default: the recipe's]")
@click.option(
    "--accumulate",
    type=COUNT,
    help="Batches for one change of the weights. [default: the recipe's]",
)
@click.option("--lr", type=RATE, help="The highest learning rate. [default: it follows --batch]")
@click.option(
    "--from-scratch", is_flag=True, help="Begin with random weights although ARCH has some."
)
@click.option(
    "--weights",
    default="",
    help="Begin with these: a training folder, a checkpoint, a plain .safetensors or .pth file "
    f"with the names that the model of nas.build_model has, or {WEIGHTS}.",
)
@click.option(
    "--inherit",
    default="",
    help="Begin with what fits of the weights of a relative: a training folder, a checkpoint, a "
    "supernet, or timm:ID, as --weights takes them.",
)
@click.option(
    "--quantize",
    is_flag=True,
    help="Train for int8, from a trained network: values and weights are rounded as in the graph "
    f"of nas quantize, whose ranges are learned. The recipe is then {INT8} by default.",
)
@click.option("--resolution", type=COUNT, help="[default: the architecture's]")
@click.option("--teacher", default="", help="A training folder or a checkpoint to learn from.")
@click.option(
    "--out",
    type=PLACE,
    help="The training folder, a path or a URL; one that exists is continued. "
    "[default: runs/train-...]",
)
@option("--seed", 0, "Seed of weights, order and augmentation.", WHOLE)
@DEVICE
@on_cluster
@JSON
def command(arch: str | None, as_json: bool, resolution: int | None, **flags: Any) -> None:
    """Train ARCH on images, and keep its weights in a training folder.

    ARCH is a bundled name, a YAML or JSON file, RUN_DIR:best, RUN_DIR:3, or a training folder,
    whose best weights are then fine-tuned. The classifier gets the classes of the data. The same
    command resumes a training that was interrupted, also with more or fewer workers, and so does
    nas train --out FOLDER, with the settings of the training there.
    """
    resumed = find_resumed(flags["out"])
    if arch is None:
        flags = settings_of(resumed, flags)
    elif flags["data"] is None:
        raise NasError("--data is missing: the images to train on, as in imagefolder:/path")
    elif resumed:
        flags["recipe"] = recipe_of(resumed, flags)
    elif flags["quantize"] and is_default("recipe"):
        flags["recipe"] = INT8
    start = _start(arch, resumed, flags)
    network = _network(arch, resolution, resumed)
    check_cluster(flags)
    out = flags.pop("out") or Place(
        _default_folder(network, {**flags, "start": start} if start else flags)
    )
    try:
        lineage = Lineage()  # the folder of a resumed one keeps its own
        if arch and not resumed:
            lineage = how_found(arch, weights=start, inherits=bool(flags["inherit"]))
        resumed = None if start else resumed
        trained, data = _train(network, start, out, resumed=resumed, lineage=lineage, **flags)
    except KeyboardInterrupt:
        say("stopped; resume with the same command")
        raise click.Abort from None
    if not trained.finished:
        say(f"stopped after {counted(trained.epochs, 'epoch')}; resume with the same command")
        raise click.Abort
    if as_json:
        print_json(_document(trained, out, flags))
    else:
        known = ", ".join(f"{name} {value:.4f}" for name, value in trained.metrics.items())
        put(f"{known} on the validation images, epoch {trained.best_epoch}")
        word, data_word = as_word(out), as_word(flags["data"])
        took = f"{counted(trained.epochs, 'epoch')} in {trained.seconds:.1f} s"
        say(f"{took}; the weights are in {out}; next:")
        more = (
            f"nas quantize {word} --data {data_word}"
            if flags["quantize"]
            else (f"nas export {word} --format onnx")
        )
        say(f"nas eval {word} --data {data_word}, or {more}")
    if trained.arch.detector:
        with optional("the picture of what it finds", say):
            _draw(out, data, flags["device"])


def _draw(out: Place, data: "Data", device: str) -> None:
    """Draw what the best detector in `out` finds in some validation images, into that folder."""
    from nas.report.detection_plots import draw_examples
    from nas.training.detection.by_class import examples_of

    with out.open() as folder:
        shown = examples_of(load_checkpoint(str(folder)), data, device=device)
        title = f"{out}, validation images of {data.name}"
        draw_examples(shown, data.classes, [folder / PREDICTIONS], title=title)
    say(f"picture: {out / PREDICTIONS}")


def _network(
    arch: str | None, resolution: int | None, resumed: ResumedTraining | None
) -> Architecture:
    """Return what `arch` means, by default what `begun` trains, at a `resolution`.

    A training of weights of another library is resumed with their epsilon and padding.
    """
    network = resumed.arch if resumed and arch is None else find_architecture(str(arch))
    if resumed and resumed.normalisation:
        own = resumed.arch
        network = replace(network, norm_epsilon=own.norm_epsilon, padding=own.padding)
    return scale_resolution(network, resolution) if resolution else network


def _start(arch: str | None, resumed: ResumedTraining | None, flags: dict[str, Any]) -> str:
    """Return the trained network, or the file of weights, to begin with; "" for random weights.

    It is "" as well for a training in `out` that is resumed without what it began with: one of
    random weights, whatever ARCH is by now, and one whose own folder is ARCH.
    """
    weights, from_scratch = flags.pop("weights"), flags.pop("from_scratch")
    if sum(map(bool, (weights, from_scratch, flags["inherit"]))) > 1:
        raise NasError(
            "--weights, --inherit and --from-scratch contradict each other; give one of them"
        )
    weights = weights or flags["inherit"] or _trained_backbone(arch, from_scratch)
    if weights or arch is None or from_scratch or find_checkpoint(arch) is None:
        return str(weights)
    is_own = split_name(arch)[0].rstrip("/") == str(flags["out"])
    return "" if resumed and (is_own or not resumed.weights) else arch


def _trained_backbone(arch: str | None, from_scratch: bool) -> str:
    """Return the trained network that ARCH names as the backbone of a detector, "" for none."""
    name = backbone_in(arch) if arch and not from_scratch and has_head(arch) else ""
    return name if name and find_checkpoint(name) else ""


def _train(
    network: Architecture,
    start: str,
    out: Place,
    *,
    resumed: ResumedTraining | None,
    lineage: Lineage,
    **flags: Any,
) -> tuple["Trained", "Data"]:
    """Read the data, and train on them, from the weights that `start` names if it is not empty.

    Else a training to resume, `begun`, says what it began with.
    """
    try:
        from nas.training.data import load_data
        from nas.training.job import Options
        from nas.training.run import plan, run_training
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas train") from None
    changes = {key: flags[key] or 0 for key in ("epochs", "batch", "lr", "accumulate")}
    recipe = flags["recipe"]
    recipe = adapt(recipe if isinstance(recipe, Recipe) else find_recipe(recipe), **changes)
    data, options = load_data(flags["data"]), Options()
    if found := advice(recipe, images=len(data.train), task=data.task):
        say(found)
    if start:
        begin = (
            _inheriting
            if flags["inherit"] or _is_backbone(start, network)
            else _with_initial_weights
        )
        network, options = begin(start, network, data, seed=flags["seed"])
        options = replace(options, weights_name=start)
    elif resumed:
        options = Options(
            weights_fingerprint=resumed.weights,
            weights_name=resumed.weights_name,
            normalisation=resumed.normalisation,
        )
    with progress("training", "images") as update:
        options = replace(
            options,
            device=flags["device"],
            teacher=flags["teacher"],
            extend=True,
            quantize=flags["quantize"],
            report=update,
            lineage=lineage,
        )
        job = plan(network, data, recipe, seed=flags["seed"], options=options)
        if not is_distributed(flags):
            with out.open() as folder:
                return run_training(job, folder), data
        return _train_distributed(job, out, flags), data


def _is_backbone(start: str, arch: Architecture) -> bool:
    """Tell whether `start` names a classifier that a detector is to begin with."""
    from nas.training.foreign import is_foreign

    if arch.detector is None:
        return False
    found = None if is_foreign(start) else find_checkpoint(start)
    return is_foreign(start) or (found is not None and architecture_of(found).detector is None)


def _inheriting(
    start: str, arch: Architecture, data: "Data", *, seed: int
) -> tuple[Architecture, "Options"]:
    """Return the network and what it inherits, and say how much that is."""
    from nas.supernet.inherited import find_relative, inherit_weights
    from nas.training.job import Options

    resumed = inherit_weights(find_relative(start), arch, data, seed=seed)
    say(f"beginning with weights of {start} for {resumed.share:.0%} of the parameters")
    return resumed.arch, Options(weights=resumed.weights, normalisation=resumed.normalisation)


def _with_initial_weights(
    start: str, arch: Architecture, data: "Data", *, seed: int
) -> tuple[Architecture, "Options"]:
    """Return the network and the weights to fine-tune, and say where they come from.

    They bring the epsilon, the padding and the normalisation of images that they were trained with.
    """
    from nas.training.foreign import is_foreign
    from nas.training.job import Options
    from nas.training.plain_weights import is_plain, plain_weights
    from nas.training.pretrained import fine_tuning_options, load_weights
    from nas.training.trained import has_classes, starting_weights

    if is_foreign(start):
        found = load_weights(arch, start)
        new = "" if has_classes(found, data.classes) else ", with a new classifier"
        say(f"fine-tuning {start}{new}")
        return found.arch, fine_tuning_options(found, data, seed=seed)
    if is_plain(start):
        weights, is_new = plain_weights(Path(start), arch, data, seed=seed)
        new = ", with a new classifier for the classes of the data" if is_new else ""
        say(f"fine-tuning the weights in {start}{new}")
        return arch, Options(weights=weights)
    found = load_checkpoint(start)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in found.scores.items())
    was = f", {scores} on {found.data.name}" if scores else ""
    new = "" if found.data.classes == data.classes else ", with a new classifier for other classes"
    say(f"fine-tuning {found.path}{was}{new}; --from-scratch begins with random weights")
    usual = found.normalisation if found.normalisation != (data.mean, data.deviation) else None
    own = found.arch
    arch = replace(arch, norm_epsilon=own.norm_epsilon, padding=own.padding)
    weights = starting_weights(found, data, seed=seed)
    return arch, Options(weights=weights, normalisation=usual)


def _train_distributed(job: "TrainingJob", out: Place, flags: Mapping[str, Any]) -> "Trained":
    """Train with the workers of a Ray cluster."""
    group = workers_of(flags)

    from nas.training.distributed import train_distributed  # Ray, which is there by now

    return train_distributed(job, out, group)


def _default_folder(network: Architecture, flags: dict[str, Any]) -> Path:
    """Return a folder named after the settings."""
    what = {key: value for key, value in flags.items() if key not in _RUNTIME_FLAGS}
    what = {key: value for key, value in what.items() if value or key not in _LATER_FLAGS}
    what |= {"recipe": pinned(flags["recipe"]), "accumulate": flags["accumulate"] or 1}
    digest = hashlib.sha256(repr((network.fingerprint, what)).encode()).hexdigest()[:6]
    source = file_name(flags["data"].partition(":")[0], default="data")
    return Path("runs") / f"train-{named(network)}-{source}-{digest}"


def _document(trained: "Trained", out: Place, flags: dict[str, Any]) -> dict[str, Any]:
    recipe = flags["recipe"]
    return {
        "schema": 1,
        "run": str(out),
        "data": flags["data"],
        "recipe": recipe.name if isinstance(recipe, Recipe) else recipe,
        "fingerprint": trained.arch.fingerprint,
        "best_epoch": trained.best_epoch,
        "history": list(trained.history),
        **(trained.metrics or {trained.metric: trained.value}),
        "epochs": trained.epochs,
        "seconds": trained.seconds,
    }
