"""Train detectors on real images from random weights, and report their AP on test images.

    python -m experiments.detection.bccd measure [NAME...] --data voc:bccd_voc.zip [--work FOLDER]
    python -m experiments.detection.bccd report

BCCD has 364 microscope images of 640x480 pixels with 4,885 blood cells of three kinds, split into
205, 87 and 72. Trainings resume where they were interrupted. `measure` writes epochs and scores to
`measured/`, and a picture of validation images; `report` prints a table and draws the curves.
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from experiments.shared.folders import SHARED_DATA
from nas.core.files import write_text
from nas.core.machine import cpu_name
from nas.network.checkpoint import load_checkpoint
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.report.detection_plots import draw_examples
from nas.training.data import Data, load_data
from nas.training.detection.by_class import DetectionEvaluation, evaluate_detector, examples_of
from nas.training.job import Options
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import Trained, complete_training, plan

HERE = Path(__file__).parent
MEASURED = HERE / "measured"
WIDTH = 1400
BCCD = f"voc:{SHARED_DATA / 'bccd' / 'bccd_voc.zip'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A detector, and its epochs with the recipe `auto`."""

    arch: str
    epochs: int


CASES: Mapping[str, Case] = {
    "ssdlite": Case(arch="ssdlite:mobilenet_v3_small@320,smallest=0.06", epochs=60),
    "yolo": Case(arch="yolo:mobilenet_v3_small@320", epochs=40),
}


def measure(name: str, data: Data, work: Path) -> None:
    """Train one case in the folder `work`, and store the result."""
    case = CASES[name]
    arch, recipe = load_architecture(case.arch), adapt(find_recipe("auto"), epochs=case.epochs)

    def report(done: int, total: int, note: str) -> None:
        print(f"\r{name}: {done:,} of {total:,} images, {note}   ", end="", flush=True)

    job = plan(arch, data, recipe, options=Options(device="cpu", report=report))
    trained = complete_training(job, work / name)
    found = load_checkpoint(str(work / name))
    scored = evaluate_detector(found, data, split="test", device="cpu")
    write_text(MEASURED / f"{name}.json", json.dumps(_record(case, trained, scored), indent=1))
    picture(name, data, work)


def picture(name: str, data: Data, work: Path) -> None:
    """Draw the detections in some test images, as a small JPEG."""
    from PIL import Image

    found = load_checkpoint(str(work / name))
    shown = examples_of(found, data, split="test", device="cpu")
    title = f"{CASES[name].arch}, test images of BCCD"
    with TemporaryDirectory() as folder:
        large = Path(folder) / "large.png"
        draw_examples(shown, data.classes, [large], title=title)
        with Image.open(large) as image:
            small = image.convert("RGB").resize((WIDTH, image.height * WIDTH // image.width))
        small.save(HERE / f"{name}.jpg", quality=80)


def _record(case: Case, trained: Trained, scored: DetectionEvaluation) -> Mapping[str, Any]:
    precision, counted = scored.score.precision, cost(trained.arch)
    return {
        "arch": case.arch,
        "params": counted.params,
        "macs": counted.macs,
        "epochs": [dict(epoch) for epoch in trained.history],
        "minutes": round(trained.seconds / 60, 1),
        "threads": torch.get_num_threads(),
        "cpu": cpu_name(),
        "torch": torch.__version__,
        "test": {"map": precision.map, "map50": precision.map50},
        "by_class": {
            name: {"objects": count, "map": ap, "map50": half}
            for name, count, ap, half in zip(
                scored.classes,
                scored.objects,
                precision.by_class,
                precision.by_class50,
                strict=True,
            )
        },
    }


def report() -> None:
    """Print a row for each case, and draw loss and AP by epoch."""
    records = [json.loads(path.read_text()) for path in sorted(MEASURED.glob("*.json"))]
    print("| detector | params M | MACs M | epochs | minutes | test AP | AP50 | by class, AP50 |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for record in records:
        classes = ", ".join(f"{n} {100 * c['map50']:.1f}" for n, c in record["by_class"].items())
        print(
            f"| {record['arch']} | {record['params'] / 1e6:.2f} | {record['macs'] / 1e6:.0f} "
            f"| {len(record['epochs'])} | {record['minutes']} | {100 * record['test']['map']:.1f} "
            f"| {100 * record['test']['map50']:.1f} | {classes} |"
        )
    _draw(records)


def _draw(records: Sequence[Mapping[str, Any]]) -> None:
    from nas.report._drawing import drawing

    with drawing([HERE / "bccd.png"], 7.4, 4.4) as (figure, axes):
        right = axes.twinx()
        for record, style in zip(records, ("-", "--", ":"), strict=False):
            epochs = [epoch["epoch"] for epoch in record["epochs"]]
            loss = [epoch["loss"] / record["epochs"][0]["loss"] for epoch in record["epochs"]]
            half = [100 * epoch["map50"] for epoch in record["epochs"]]
            axes.plot(epochs, half, style, color="tab:blue", label=f"AP50, {record['arch']}")
            right.plot(epochs, loss, style, color="tab:orange", label=f"loss, {record['arch']}")
        axes.set_xlabel("epoch")
        axes.set_ylabel("AP50 on the validation images (%)")
        right.set_ylabel("training loss, as a share of the first epoch's")
        axes.grid(alpha=0.25)
        figure.legend(loc="outside lower center", ncols=2, fontsize=7)


def main() -> None:
    """Measure cases, or report."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("names", nargs="*", default=[], help=f"of {', '.join(CASES)}")
    parser.add_argument("--data", default=BCCD)
    parser.add_argument("--work", type=Path, default=Path("runs"), help="where trainings lie")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.what == "measure":
        data = load_data(asked.data)
        for name in asked.names or CASES:
            measure(name, data, asked.work)
    report()


if __name__ == "__main__":
    main()
