"""A folder from which torchvision builds the network: rows, a short program, and any weights."""

from functools import partial

from nas.exporting.formats import Exporter, FolderExporter
from nas.exporting.torchvision import torchvision_files


def create(*, family: str = "") -> Exporter:
    """Return the exporter of `nas.exporting.torchvision.torchvision_files`.

    `family` is mobilenet_v2, mobilenet_v3, mnasnet or efficientnet; by default the one that the
    architecture looks like.
    """
    return FolderExporter(suffix=".torchvision", content=partial(torchvision_files, family=family))
