"""Fingerprints of search spaces."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nas.space.rows import Squeezing


def fingerprint_of(space: Any) -> str:  # a `Space`, whose module imports this one
    """Return sixteen hex digits, equal for spaces of equal architectures whatever their names."""
    rows = [row for head in space.heads.values() for row in head]
    only = space.squeezings.get(True, Squeezing())
    content = {
        "input": [space.input_channels, *space.resolutions],
        "rows": [
            [sorted((key, list(v)) for key, v in row.options.items()), list(row.per_layer)]
            for row in (*space.stem, *space.stages, *rows)
        ],
        "parts": [len(space.stem), len(space.stages), len(rows)],
        "se": [only.ratio, only.of, only.divisor],
        "drop": [space.dropout, space.drop_connect],
        **_later_parts(space),
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _later_parts(space: Any) -> Mapping[str, Any]:
    """Return the parts that earlier versions lacked, if used: so old fingerprints stay valid."""
    plain = space.squeezings.keys() == {True} and space.squeezings[True].fields("", "", "")
    se = [[str(n), *(getattr(s, f) for f in s.__slots__)] for n, s in space.squeezings.items()]
    found = {
        "multipliers": list(space.multipliers) if space.multipliers != (1.0,) else [],
        "acts": list(space.acts),
        "heads": [[n, len(rows)] for n, rows in space.heads.items()]
        if space.heads.keys() != {""}
        else [],
        "squeezings": se if plain != {"se_act": "", "gate": ""} else [],
    }
    return {key: value for key, value in found.items() if value}
