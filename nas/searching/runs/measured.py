"""`measured.json` of a run folder: solutions of its front as measured, beside the predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.core import strict_json
from nas.core.data import read_mapping
from nas.core.files import write_text
from nas.core.run_folder import reporting_damage
from nas.core.schema import SCHEMA
from nas.searching.runs.folder import dtype_of, find_architecture

MEASURED = "measured.json"
Record = Mapping[str, Any]


def store_measured(run: Path, records: Sequence[Record]) -> None:
    """Keep the `records` of measured solutions in the folder of their run, with fingerprints.

    They take the place of earlier ones of the same networks.

    Raises:
        NasError: if that is not possible.
    """
    new = [{**one, **_what(f"{run}:{one['name']}")} for one in records]
    again = {measured_key(one) for one in new}
    old = [dict(one) for one in read_measured(run) if measured_key(one) not in again]
    content = {"schema": SCHEMA, "networks": old + new}
    write_text(run / MEASURED, strict_json.dumps(content, indent=1) + "\n")


def measured_key(one: Mapping[str, Any]) -> tuple[str, str]:
    """Return what tells measured networks apart: fingerprint, and dtype where a run has several."""
    return str(one.get("fingerprint")), str(one.get("dtype") or "")


def _what(solution: str) -> dict[str, str]:
    dtype = dtype_of(solution)
    fingerprint = find_architecture(solution).fingerprint
    return {"fingerprint": fingerprint, **({"dtype": dtype} if dtype else {})}


def read_measured(here: Path) -> tuple[Record, ...]:
    """Return the records that a run folder keeps, none where nothing was measured.

    Raises:
        NasError: if the file is damaged.
    """
    path = here / MEASURED
    if not path.is_file():
        return ()
    found = read_mapping(path)
    with reporting_damage(path):
        return tuple(map(_checked, found["networks"]))


def _checked(one: Record) -> Record:
    """Return a record with the types that its readers count on."""
    numbers = {key: None if one[key] is None else float(one[key]) for key in one if _is_ms(key)}
    texts = {key: str(one[key]) for key in ("name", "fingerprint")}
    if numbers["measured_ms"] is None:
        raise ValueError("not measured")
    return {**one, **numbers, **texts, "notes": list(map(str, one.get("notes", [])))}


def _is_ms(key: str) -> bool:
    return key.endswith("_ms")
