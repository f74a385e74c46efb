"""Train a supernet: one training whose weights all networks of a space share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._cluster import check_cluster, is_distributed, on_cluster, workers_of
from nas.cli._data import DATA, as_word
from nas.cli._options import COUNT, DEVICE, JSON, RATE, RECIPE, WHOLE, option
from nas.cli._places import PATH
from nas.cli._print import print_json, put, say
from nas.cli._progress import progress
from nas.core.errors import missing_package
from nas.core.text import counted
from nas.space.file import load_space
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt

if TYPE_CHECKING:
    from nas.supernet.run import TrainedSupernet
    from nas.training.job import TrainingJob


@click.command("train")
@click.option("--space", required=True, help="A bundled space, or a YAML file of one.")
@click.option("--data", required=True, help=DATA)
@click.option("--out", required=True, type=PATH, help="The folder; one that exists is continued.")
@option("--recipe", "auto", f"How to train. {RECIPE}")
@click.option("--epochs", type=COUNT, help="[default: the recipe's]")
@click.option("--batch", type=COUNT, help="Images at once. [default: the recipe's]")
@click.option("--accumulate", type=COUNT, help="Batches for one change. [default: the recipe's]")
@click.option("--lr", type=RATE, help="The highest learning rate. [default: it follows --batch]")
@option(
    "--kernel",
    "crop",
    "Smaller kernels are the centre of larger ones, or that times a learned matrix.",
    click.Choice(["crop", "transform"]),
)
@option("--random", 2, "Random networks a step, beside the largest and the smallest.", WHOLE)
@option("--seed", 0, "Seed of weights, order, augmentation and random networks.", WHOLE)
@DEVICE
@on_cluster
@JSON
def command(space: str, data: str, out: Path, as_json: bool, **flags: Any) -> None:
    """Train the largest network of a space so that all others are parts of it.

    Every step trains the largest network on the labels, and the smallest and some random ones on
    what the largest says. The same command resumes.
    """
    check_cluster(flags)
    trained = _train(space, data, out, flags)
    if not trained.finished:
        say(f"stopped after {counted(trained.epochs, 'epoch')}; resume with the same command")
        raise click.Abort
    if as_json:
        facts = {"epochs": trained.epochs, "seconds": trained.seconds, **trained.metrics}
        print_json({"schema": 1, "out": str(out), "history": list(trained.history), **facts})
        return
    known = {k.removeprefix("top1_"): f"{v:.4f}" for k, v in trained.metrics.items()}
    put(
        f"top1 of the largest network {known['largest']}, of the smallest {known['smallest']}, "
        f"mean with random ones {known['top1']}, epoch {trained.best_epoch}"
    )
    took = f"{counted(trained.epochs, 'epoch')} in {trained.seconds:.1f} s"
    say(f"{took}; the weights are in {out}; next:")
    say(f"nas search --space {as_word(space)} --evaluator supernet:{as_word(out)}")


def _train(space: str, data: str, out: Path, flags: dict[str, Any]) -> "TrainedSupernet":
    try:
        from nas.supernet.run import plan_supernet, reporting, train_supernet
        from nas.supernet.sandwich import Sharing
        from nas.training.data import load_data
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas supernet train") from None
    changes = {key: flags[key] or 0 for key in ("epochs", "batch", "lr", "accumulate")}
    recipe = adapt(find_recipe(flags["recipe"]), **changes)
    job = plan_supernet(
        load_space(space),
        load_data(data),
        recipe,
        seed=flags["seed"],
        sharing=Sharing(kernel=flags["kernel"], random=flags["random"]),
    )
    with progress("training", "images") as update:
        job = reporting(job, update, device=flags["device"])
        if not is_distributed(flags):
            return train_supernet(job, space, out)
        return _train_distributed(job, space, out, flags)


def _train_distributed(
    job: "TrainingJob", space: str, out: Path, flags: dict[str, Any]
) -> "TrainedSupernet":
    group = workers_of(flags)

    from nas.supernet.distributed import train_supernet_distributed  # Ray, which is there by now

    return train_supernet_distributed(job, space, out, group)
