"""A folder for the Hugging Face hub: weights, ONNX, TFLite, config.json and a model card."""

from functools import partial

from nas.exporting.formats import Exporter, FolderExporter
from nas.exporting.hub import hub_files


def create(*, licence: str = "") -> Exporter:
    """Return the exporter of `nas.exporting.hub.hub_files`; by default no licence is stated."""
    return FolderExporter(suffix=".hub", content=partial(hub_files, licence=licence))
