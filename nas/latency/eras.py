"""Former names of latency tables, and the eras of version 0.1.

In version 0.1 a table held several states of a runtime, one of them the default. Each is now a
separate table: `pixel1_2018` was era 2018 of `pixel1`. Only this file knows the meaning of `era`,
and the former names of tables, in settings, in table files and in run folders.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from nas.core.data import bundled, exists, read_mapping
from nas.core.deprecation import deprecated
from nas.core.errors import NasError, unknown
from nas.core.schema import Coefficient, Reader
from nas.core.strict_yaml import changed, without
from nas.core.text import shown
from nas.latency.table import LatencyTable, fingerprint

REMOVED_IN = "0.3.0"
"""The version in which eras and former names of tables are no longer understood by commands."""
_TODAY = "2019"
_ONLY = (_TODAY, "measured", "imported")
"""The name of the only era of a table, which was also the default of `pixel1`."""
_SUFFIXES = (".yaml", ".yml", ".json")

_EPYC = "epyc_genoa_onnxruntime"
_SPACE, _FORMER_SPACE = "mnasnet_b0", "mbconv"
_FORMER = {
    f"{_EPYC}_{kind}_{_FORMER_SPACE}": f"{_EPYC}_{kind}_{_SPACE}"
    for kind in ("1t_fp32", "1t_int8", "2t_fp32")
}
"""Tables of a renamed space, by their former names."""


def table_of_era(name: str | Path, era: str | int | None) -> str:
    """Return the table that `name` and `era` meant, with a warning if its name has changed.

    An era of a user's own file is written FILE:ERA; without an era it is the table `name`.

    Raises:
        UnknownName: if there is no such era.
    """
    found = _renamed(name, era)
    if found != str(name):
        old = f"latency table {name}" if str(name) in _FORMER else f"era {era} of {name}"
        deprecated(old, instead=f"latency table {found}", removed_in=REMOVED_IN)
    return found


def settings_without_era(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a run folder, with `era`, if any, merged into `latency_table`."""
    if not isinstance(settings.get("latency_table"), str):
        return settings
    named = {"latency_table": _renamed(settings["latency_table"], settings.get("era"))}
    return without(changed(settings, **named), "era")


def _renamed(name: str | Path, era: str | int | None) -> str:
    """Return the result of `table_of_era`, without a warning."""
    text, wanted = _FORMER.get(str(name), str(name)), "" if era is None else str(era)
    if Path(text).suffix in _SUFFIXES:
        return _of_file(text, wanted)
    tables = bundled("latency_tables")
    if not wanted or text not in tables or wanted in _ONLY:
        return text
    if f"{text}_{wanted}" not in tables:
        known = [table.removeprefix(f"{text}_") for table in tables if table.startswith(f"{text}_")]
        raise _unknown(text, wanted, (_TODAY, *known))
    return f"{text}_{wanted}"


def _of_file(text: str, wanted: str) -> str:
    """Return FILE:ERA if the file at `text` has eras and `wanted` is not the default."""
    path = Path(text)
    content = read_mapping(path) if wanted and exists(path) else {}
    if "eras" not in content:
        return text
    old = Reader(path).record(content, _Eras, more=True)
    if wanted not in old.eras:
        raise _unknown(text, wanted, old.eras)
    return text if wanted == old.default_era else f"{text}:{wanted}"


def _unknown(table: object, era: str, known: Iterable[str]) -> NasError:
    return unknown(f"era of latency table {shown(table)}", era, known)


def split_era(name: str | Path) -> tuple[str, str]:
    """Split FILE:ERA; the era is empty if none is named."""
    text, _, era = str(name).rpartition(":")
    return (text, era) if Path(text).suffix in _SUFFIXES else (str(name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Era:
    runtime: str
    factor: Coefficient
    coefficients: Mapping[str, Coefficient]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eras:
    default_era: str
    eras: Mapping[str, _Era]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    coefficients: Mapping[str, Coefficient]


def without_eras(content: Mapping[str, Any], reader: Reader, era: str = "") -> Mapping[str, Any]:
    """Return the content of a table's file in one of its eras, by default the default one.

    That era's coefficients add to or replace the shared ones, and its factor applies to all.

    Raises:
        UnknownName: if it has no such era.
        BadFile: if its eras are malformed.
    """
    if "eras" not in content:
        return content
    old = reader.record(content, _Eras, more=True)
    chosen = era or old.default_era
    if chosen not in old.eras:
        raise _unknown(content.get("name"), chosen, old.eras)
    found = old.eras[chosen]
    made = changed(without(content, "eras", "default_era"), runtime=found.runtime)
    if content.get("model") is not None:
        model = reader.record(content["model"], _Model, more=True)
        every = {**model.coefficients, **found.coefficients}
        scaled = {name: ns * found.factor for name, ns in every.items()}
        made["model"] = changed(content["model"], coefficients=scaled)
    return made


# How run folders of version 0.1 name the tables that they were started with

_PIXEL = {
    "sha256:d4fc8667c18ccae8": ("2019", "sha256:0af92e358ca7bc66"),
    "sha256:bfaa01a2ac962f52": ("2018", "sha256:c296ded2eb165a84"),
    "sha256:78d4387080c6347e": ("2019", "sha256:471d6ed39d0644e3"),
    "sha256:9a9424c145ddec57": ("2019", "sha256:3e3bb83b90ef1b07"),
}
_PIXEL_FILES = {
    "062ce0890d6c79be": "45698ab1b04ce78c",
    "5e5659b85425c800": "27c6e2e9ac2dc21d",
    "a28bfdb63fdad5d8": "f7a8714d02ddbd7f",
    "d94a9a918f0f708f": "6f194235b3b0c19d",
}
"""The fingerprints of that version for the present `pixel1`, `pixel1_2018`, `pixel2`, `pixel3`."""


def earlier_texts(table: LatencyTable, keys: Iterable[str]) -> frozenset[str]:
    """Return the texts by which journals may name `table`, for predictions from units `keys`."""
    name, keys = _former(table.name), tuple(keys)
    return frozenset({f"table:{name} {fingerprint(table.inputs(keys))}", _text_01(table, keys)})


def _former(name: str) -> str:
    """Return the former name of table `name`."""
    return {now: before for before, now in _FORMER.items()}.get(name, name)


def _text_01(table: LatencyTable, keys: Iterable[str]) -> str:
    """Return the text by which version 0.1 named a table in a journal."""
    era = "measured" if table.provenance else "imported"
    inputs = dict(table.inputs(keys))
    inputs["era"] = [1.0, {}, inputs.pop("model")]
    found = fingerprint(inputs)
    era, found = _PIXEL.get(found, (era, found))
    return f"table:{_former(table.name).removesuffix(f'_{era}')} {era} {found}"


def earlier_fingerprint(content: Mapping[str, Any]) -> str:
    """Return the name that prunings and pipelines give to a table whose file has `content`."""
    era = "measured" if "provenance" in content else "imported"
    old = {key: value for key, value in content.items() if key != "runtime"}
    if content["name"] in _FORMER.values():
        old["name"] = _former(content["name"])
        old["provenance"] = {**content["provenance"], "space": _FORMER_SPACE}
    old["eras"] = {era: {"runtime": content["runtime"], "factor": 1.0, "coefficients": {}}}
    text = json.dumps({**old, "default_era": era}, sort_keys=True).encode()
    found = sha256(f"{len(text)}:".encode() + text).hexdigest()[:16]
    return _PIXEL_FILES.get(found, found)
