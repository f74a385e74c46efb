"""How a network was found: what folders of trainings and prunings record of it, for model cards."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.core.data import as_json
from nas.core.schema import Reader

LINEAGE = "lineage"
"""The key in the settings of a folder; it never decides whether a run may be resumed there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Sentences on how a network was found, and the latency table that was used, if any."""

    sentences: tuple[str, ...] = ()
    table: str = ""


def lineage_in(settings: Mapping[str, Any], path: Path) -> Lineage:
    """Return the lineage in `settings`, the content of the file at `path`; empty if it has none.

    Raises:
        BadFile: if it is malformed.
    """
    return Reader(path).get(settings, LINEAGE, Lineage) if LINEAGE in settings else Lineage()


def with_lineage(settings: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    """Return `settings` with `lineage` instead of their own; without the key if it is empty."""
    rest = {key: value for key, value in settings.items() if key != LINEAGE}
    kept = {LINEAGE: as_json(asdict(lineage))} if lineage.sentences else {}
    return {**rest, **kept}
