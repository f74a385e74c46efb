"""A folder from which timm builds the network: its strings, a short program, and any weights."""

from nas.exporting.formats import Exporter, FolderExporter
from nas.exporting.timm import timm_files


def create() -> Exporter:
    """Return the exporter of `nas.exporting.timm.timm_files`."""
    return FolderExporter(suffix=".timm", content=timm_files)
