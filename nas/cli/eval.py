"""Score a trained network on labelled images."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._data import DATA
from nas.cli._options import COUNT, DEVICE, JSON, option
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, put, say
from nas.cli._trained import WEIGHTS, find_trained
from nas.core.errors import missing_package
from nas.core.optional import optional
from nas.core.run_folder import TRAINING, kind_of
from nas.network.checkpoint import Checkpoint, load_checkpoint

if TYPE_CHECKING:
    from nas.training.confusion import Evaluation
    from nas.training.data import Data
    from nas.training.detection.by_class import DetectionEvaluation


@click.command("eval")
@click.argument("trained", metavar="TRAINED|ARCH")
@click.option("--data", required=True, help=DATA)
@click.option("--weights", help=f"The weights of ARCH, from another library: {WEIGHTS}.")
@option("--split", "val", kind=click.Choice(["val", "test"]))
@option("--batch", 256, "Images at once.", COUNT)
@click.option(
    "--picture",
    type=PATH,
    help="Draw the confusion matrix there, or what a detector finds: a .png or .svg file.",
)
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
    Says the accuracy of all images and of each class, and which classes are taken for which; of a
    detector the average precision as COCO has it, over IoUs of 0.50 to 0.95 and at 0.50.
    """
    try:
        from nas.training.confusion import evaluate
        from nas.training.data import load_data
        from nas.training.detection.by_class import evaluate_detector
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas eval") from None
    images = load_data(data)
    network = find_trained(trained, weights) if weights else load_checkpoint(trained)
    boxed = network.arch.detector is not None
    found: Any = (evaluate_detector if boxed else evaluate)(network, images, **how)
    document, show = (_boxes_document, _print_boxes) if boxed else (_document, _print)
    split = how["split"]
    whole = {"schema": 1, "data": data, "split": split, **document(found)}
    _keep(trained, whole)
    if network.ranges:
        say("trained with quantization: scored with weights and values rounded to int8")
    if as_json:
        print_json(whole)
    else:
        show(found)
        say(f"{found.score.images:,} {split} images of {data}")
    if picture:
        draw = (
            partial(_draw_boxes, network, images, split=split) if boxed else partial(_draw, found)
        )
        with optional("the picture", say):
            draw(picture, title=f"{trained}, {split} images of {data}")


def _keep(trained: str, document: dict[str, Any]) -> None:
    """Keep what was found of the best epoch in its training folder, for nas report."""
    if kind_of(Path(trained)) is TRAINING:
        from nas.report.evaluations import store_evaluation

        with optional("the scores in the training folder", say):
            store_evaluation(Path(trained), document)


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


def _boxes_document(found: "DetectionEvaluation") -> dict[str, Any]:
    result = found.score.precision
    rows = zip(found.classes, found.objects, result.by_class, result.by_class50, strict=True)
    return {
        **found.score.metrics,
        "loss": found.score.loss,
        "images": found.score.images,
        "by_area": dict(result.by_area),
        "classes": [
            {"name": name, "objects": objects, "map": every, "map50": half}
            for name, objects, every, half in rows
        ],
    }


def _print_boxes(found: "DetectionEvaluation") -> None:
    from nas.report.detection import precision_table

    result = found.score.precision
    put(f"map {result.map:.4f}, map50 {result.map50:.4f}, loss {found.score.loss:.4f}")
    put()
    known = ((name, value) for name, value in result.by_area.items() if value is not None)
    put("by size: " + ", ".join(f"{name} {value:.4f}" for name, value in known))
    put()
    print_table(precision_table(found.classes, found.objects, result.by_class, result.by_class50))


def _draw(found: "Evaluation", picture: Path, *, title: str) -> None:
    from nas.report.confusion_plots import draw_confusion

    draw_confusion(found.classes, found.counts, [picture], title=title)
    say(f"picture: {picture}")


def _draw_boxes(found: Checkpoint, data: "Data", picture: Path, *, split: str, title: str) -> None:
    from nas.report.detection_plots import draw_examples
    from nas.training.detection.by_class import examples_of

    draw_examples(examples_of(found, data, split=split), data.classes, [picture], title=title)
    say(f"picture: {picture}")
