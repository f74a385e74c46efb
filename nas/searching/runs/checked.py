"""`measured.json` of a run folder: solutions of its front as measured, beside the predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.core import strict_json
from nas.core.data import read_mapping
from nas.core.files import write_text
from nas.core.run_folder import sound
from nas.core.schema import SCHEMA
from nas.searching.runs.folder import find_architecture

MEASURED = "measured.json"
Record = Mapping[str, Any]


def keep_checked(run: Path, records: Sequence[Record]) -> None:
    """Keep the `records` of measured solutions in the folder of their run, with fingerprints.

    They take the place of earlier ones of the same networks.

    Raises:
        NasError: if that is not possible.
    """
    new = [
        {**one, "fingerprint": find_architecture(f"{run}:{one['name']}").fingerprint}
        for one in records
    ]
    again = {one["fingerprint"] for one in new}
    old = [dict(one) for one in read_checked(run) if one["fingerprint"] not in again]
    content = {"schema": SCHEMA, "networks": old + new}
    write_text(run / MEASURED, strict_json.dumps(content, indent=1) + "\n")


def read_checked(here: Path) -> tuple[Record, ...]:
    """Return the records that a run folder keeps, none where nothing was measured.

    Raises:
        NasError: if the file is damaged.
    """
    path = here / MEASURED
    if not path.is_file():
        return ()
    found = read_mapping(path)
    with sound(path):
        for one in found["networks"]:
            float(one["measured_ms"]), str(one["fingerprint"]), str(one["name"])
        return tuple(found["networks"])
