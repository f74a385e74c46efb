"""The architecture as JSON; it loads wherever an architecture is expected."""

from nas.core.data import to_json
from nas.exporting.formats import Exporter, FileExporter
from nas.network.blocks import to_mapping


def create() -> Exporter:
    """Return the exporter; `load_architecture` reads its file back as an equal architecture."""
    return FileExporter(
        suffix=".json",
        content=lambda arch, *_: to_json(to_mapping(arch)).encode(),
        holds_weights=False,
    )
