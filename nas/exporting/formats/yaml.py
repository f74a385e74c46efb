"""The architecture as YAML, one row per block; it loads wherever an architecture is expected."""

from nas.core.data import to_yaml
from nas.exporting.formats import Exporter, FileExporter
from nas.network.blocks import to_mapping


def create() -> Exporter:
    """Return the exporter; `load_architecture` reads its file back as an equal architecture."""
    return FileExporter(
        suffix=".yaml",
        content=lambda arch, *_: to_yaml(to_mapping(arch)).encode(),
        holds_weights=False,
    )
