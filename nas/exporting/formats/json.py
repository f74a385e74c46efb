"""The architecture as JSON; it loads wherever an architecture is expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.core.data import to_json
from nas.core.files import write_text
from nas.exporting.formats import Exporter, refuse_weights
from nas.network.blocks import Architecture, to_mapping
from nas.network.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonExporter:
    """Writes the file that `load_architecture` reads back as an equal architecture."""

    suffix: str = ".json"
    holds_weights: bool = False

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write `arch` to `path`; there is no room for weights."""
        refuse_weights(weights, "json")
        write_text(path, to_json(to_mapping(arch)), follow=True)


def create() -> Exporter:
    """Return the exporter."""
    return JsonExporter()
