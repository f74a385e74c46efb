"""Score a trained network on labelled images."""

from dataclasses import asdict

import click

from nas.cli._data import DATA
from nas.cli._options import COUNT, DEVICE, JSON, option
from nas.cli._print import print_json, put, say
from nas.core.errors import missing_package


@click.command("eval")
@click.argument("trained")
@click.option("--data", required=True, help=DATA)
@option("--split", "val", kind=click.Choice(["val", "test"]))
@option("--batch", 256, "Images at once.", COUNT)
@DEVICE
@JSON
def command(trained: str, data: str, split: str, batch: int, device: str, as_json: bool) -> None:
    """Score TRAINED: a training folder (its best epoch), FOLDER:last, or a .safetensors file."""
    try:
        from nas.training.data import load_data
        from nas.training.trained import score_checkpoint
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas eval") from None
    images = load_data(data)
    found = score_checkpoint(trained, images, split=split, device=device, batch=batch)
    if as_json:
        print_json({"schema": 1, "data": data, "split": split, **asdict(found)})
    else:
        put(f"top1 {found.top1:.4f}, loss {found.loss:.4f}")
        say(f"{found.images:,} {split} images of {data}")
