"""Score a trained network on labelled images."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._data import DATA
from nas.cli._options import COUNT, DEVICE, JSON, option
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, put, say
from nas.cli._trained import WEIGHTS, find_trained
from nas.core.errors import missing_package
from nas.core.extras import extra
from nas.network.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from nas.training.confusion import Evaluation


@click.command("eval")
@click.argument("trained", metavar="TRAINED|ARCH")
@click.option("--data", required=True, help=DATA)
@click.option("--weights", help=f"The weights of ARCH, from another library: {WEIGHTS}.")
@option("--split", "val", kind=click.Choice(["val", "test"]))
@option("--batch", 256, "Images at once.", COUNT)
@click.option("--picture", type=PATH, help="Draw the confusion matrix there: a .png or .svg file.")
@DEVICE
@JSON
def command(
    trained: str,
    data: str,
    weights: str | None,
    as_json: bool,
    picture: Path | None,
    **how: Any,
) -> None:
    """Score TRAINED: a training folder (its best epoch), FOLDER:last, or a .safetensors file.

    With --weights it is an architecture that they fit.
    Says the accuracy of all images and of each class, and which classes are taken for which.
    """
    try:
        from nas.training.confusion import evaluate
        from nas.training.data import load_data
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas eval") from None
    images = load_data(data)
    network = find_trained(trained, weights) if weights else load_checkpoint(trained)
    found = evaluate(network, images, **how)
    split = how["split"]
    if as_json:
        print_json({"schema": 1, "data": data, "split": split, **_document(found)})
    else:
        _print(found)
        say(f"{found.score.images:,} {split} images of {data}")
    if picture:
        with extra("the picture", say):
            _draw(found, picture, f"{trained}, {split} images of {data}")


def _document(found: "Evaluation") -> dict[str, Any]:
    by_class = [
        {"name": name, "images": int(images), "top1": top1}
        for name, images, top1 in zip(found.classes, found.images, found.accuracy, strict=True)
    ]
    return {**asdict(found.score), "classes": by_class, "confusion": found.counts.tolist()}


def _print(found: "Evaluation") -> None:
    from nas.report.confusion import class_table, confusion_table  # would bring numpy to --help

    put(f"top1 {found.score.top1:.4f}, loss {found.score.loss:.4f}")
    put()
    print_table(class_table(found.classes, found.counts))
    if matrix := confusion_table(found.classes, found.counts):
        put()
        print_table(matrix)


def _draw(found: "Evaluation", picture: Path, title: str) -> None:
    from nas.report.confusion_plots import draw_confusion

    draw_confusion(found.classes, found.counts, [picture], title=title)
    say(f"picture: {picture}")
