"""The scorer of a supernet that a command names, and its options."""

from typing import TYPE_CHECKING

import click

from nas.cli._data import DATA
from nas.cli._options import WHOLE, option
from nas.core.errors import missing_package

if TYPE_CHECKING:
    from nas.supernet.scoring import Scorer

ON_DATA = click.option("--data", help=f"{DATA} [default: what it was trained on]")
CALIBRATED = option(
    "--calibration",
    4,
    "Batches of 256 images on which the statistics of normalisation are measured.",
    WHOLE,
)


def scorer(
    supernet: str, data: str | None, *, device: str, calibration: int, probe: bool = False
) -> "Scorer":
    """Return what scores networks of `supernet` on `data`, by default what it was trained on."""
    try:
        from nas.supernet.find import load_supernet
        from nas.supernet.scoring import Scorer
        from nas.training.data import load_data
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas supernet") from None
    found = load_supernet(supernet)
    images = load_data(data or found.trained_on())
    return Scorer(found, images, device=device, calibration=calibration, probe=probe)
