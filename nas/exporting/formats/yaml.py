"""The architecture as YAML, one row per block; it loads wherever an architecture is expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.exporting.formats import Exporter, refuse_weights
from nas.network.blocks import Architecture, to_mapping
from nas.network.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlExporter:
    """Writes the file that `load_architecture` reads back as an equal architecture."""

    suffix: str = ".yaml"
    holds_weights: bool = False

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write `arch` to `path`; there is no room for weights."""
        refuse_weights(weights, "yaml")
        write_text(path, to_yaml(to_mapping(arch)), follow=True)


def create() -> Exporter:
    """Return the exporter."""
    return YamlExporter()
