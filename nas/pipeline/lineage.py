"""How a network was found, by the folders that record it, and its latency, for a model card."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from nas.core.data import bundled, read_mapping
from nas.core.errors import BadFile, NasError
from nas.core.plugin_text import without_folders
from nas.core.run_folder import (
    BEST,
    MARKS,
    NETADAPT,
    PIPELINE,
    PRUNED,
    RUN,
    SEARCH,
    TRAINING,
    Kind,
    kind_of,
    read_lines,
    reporting_damage,
)
from nas.core.storage import Place, is_url, split_name
from nas.core.text import counted
from nas.exporting.card import LATENCY
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.checkpoint import ARCH, LAST, SUFFIX, Checkpoint, read_header
from nas.network.detectors import backbone_in, has_head
from nas.network.lineage import LINEAGE, Lineage, lineage_in
from nas.network.zoo import published_weights
from nas.pipeline.journal import SETTINGS
from nas.report.table_notes import latency_remarks
from nas.report.tables import ms_text
from nas.searching.journal import JOURNAL
from nas.searching.runs.folder import ARCHS

logger = logging.getLogger(__name__)
_FOREIGN = re.compile(r"(timm|torchvision):")
_WEIGHTS = tuple(f"{name}{SUFFIX}" for name in (BEST, LAST))
_OWN: Mapping[Kind, tuple[str, ...]] = {
    TRAINING: (*_WEIGHTS, ARCH),
    NETADAPT: (PRUNED, f"{Path(PRUNED).stem}.yaml"),
}
"""The files of networks in a folder; any other file only lies beside its settings."""
CARD = "hub"
"""The exporter that writes a model card."""


def with_card_notes(trained: Checkpoint, text: str, *, latency_table: str = "") -> Checkpoint:
    """Return `trained`, which `text` names, with the notes of `card_notes`.

    Raises:
        NasError: as `card_notes` does.
    """
    return replace(trained, notes=card_notes(trained.arch, text, latency_table=latency_table))


def card_notes(arch: Architecture, text: str, *, latency_table: str = "") -> dict[str, str]:
    """Return notes for the model card of `arch`, which `text` names.

    The notes say how it was found, as far as its folder records it, and its latency by
    `latency_table`, by default the table of its run.

    Raises:
        NasError: if the folder is damaged, or `latency_table` cannot be read.
    """
    found = lineage_of(text)
    notes = {LINEAGE: json.dumps(found.sentences)}
    name = latency_table or found.table
    try:
        if name:
            notes[LATENCY] = json.dumps(latency_sentences(load_table(name), arch))
    except NasError as error:
        if latency_table:
            raise
        logger.warning("the card says nothing of the latency: %s", error)
    return notes


def latency_sentences(table: LatencyTable, arch: Architecture) -> list[str]:
    """Return sentences on the latency of `arch` by `table`, with device and interval."""
    latency = table.predict(arch)
    threads = f"{table.threads} thread{'s' if table.threads > 1 else ''}"
    cases = f"{100 * table.spread.coverage:.0f} % of cases"
    return [
        f"{ms_text(latency.ms)} ms on {table.device} with {table.runtime}, {table.precision}, "
        f"{threads}, batch size 1; {ms_text(latency.low_ms)} to {ms_text(latency.high_ms)} ms in "
        f"{cases}. Predicted by the latency table {table.name}.",
        *(f"{remark[:1].upper()}{remark[1:]}." for remark in latency_remarks(latency)),
    ]


def lineage_of(text: str, *, trained: bool = True) -> Lineage:
    """Return how the network that `text` names was found, as far as its folder records it.

    Without `trained`, only how its architecture was found, not its weights.

    Raises:
        NasError: if the folder is damaged, or the URL cannot be read.
    """
    if _FOREIGN.match(text):
        return Lineage(sentences=(_foreign(text),))
    if has_head(text):
        return lineage_of(backbone_in(text), trained=trained)
    folder, name = _folder_of(text)
    if not folder:
        return _extracted(text, trained)
    with Place(folder).reading(*MARKS, SETTINGS) as here:
        kind = kind_of(here)
        if kind is None or kind not in _READ:
            return Lineage()
        with reporting_damage(here / kind.mark):
            return _READ[kind](here, name, trained)


def lineage_before(arch: str, *, weights: str = "", inherits: bool = False) -> Lineage:
    """Return how the network `arch` was found that is to be trained, before it is.

    `weights` are those that it begins with, "" for random ones: if they were trained here, they
    tell more than `arch`, unless it only `inherits` what fits.

    Raises:
        NasError: as `lineage_of` does.
    """
    own = weights and not inherits and not _FOREIGN.match(weights)
    found = lineage_of(weights) if own else Lineage()
    return found if found.sentences else lineage_of(arch, trained=False)


def _folder_of(text: str) -> tuple[str, str]:
    """Return the folder of the network that `text` names, "" if it has none, and its name there."""
    folder, name = split_name(text)
    path = Path(folder)
    if not folder or is_url(folder) or not path.is_file():
        return folder, name or BEST
    kind = kind_of(path.parent)
    if kind and path.name in _OWN.get(kind, ()):
        return str(path.parent), name or BEST
    run = path.absolute().parents[1]
    is_found = path.parent.name == ARCHS and (run / JOURNAL).is_file()
    return str(run) if is_found else "", path.stem


def _foreign(source: str) -> str:
    """Return a sentence on weights of another library."""
    return f"The weights are those of {_known(source)}."


def _known(source: str) -> str:
    """Return what is known of weights of another library: name, accuracy and licence."""
    every = chain(*map(published_weights, bundled("architectures")))
    found = next((weights for weights in every if weights.source == source), None)
    if found:
        top1 = f"{100 * found.top1:.1f} % top-1 on ImageNet"
        return f"{source}, published with {top1} under {found.licence}"
    library, _, place = source.partition(":")
    return f"{library}:{Path(place).name}"  # no path of this machine


def _begun(weights: str) -> list[str]:
    """Return a sentence on the weights that a training began with, if their name is known."""
    if not weights:
        return []
    path = Path(weights)
    own = path.parent.name if path.name in _WEIGHTS else path.name
    return [f"It began with weights of {_known(weights) if _FOREIGN.match(weights) else own}."]


def _training(here: Path, _: str, trained: bool) -> Lineage:
    settings = read_mapping(here / TRAINING.mark)
    earlier = lineage_in(settings, here / TRAINING.mark)
    if not trained:
        return earlier
    name, data = str(settings["arch"]["name"]), without_folders(settings["data"]["name"])
    recipe, seed = settings["recipe"], settings["seed"]
    by = without_folders(recipe["name"])
    begun = " from given weights" if settings.get("weights") else ""
    teacher = ", taught by a larger network" if settings.get("teacher") else ""
    text = (
        f"The architecture {name} was trained{begun} by nas train on {data}: recipe "
        f"{by}, {counted(recipe['epochs'], 'epoch')}, batch size {recipe['batch']}, "
        f"seed {seed}{teacher}."
    )
    begun_with = _begun(_weights_name(settings))
    return replace(earlier, sentences=(*earlier.sentences, text, *begun_with))


def _weights_name(settings: Mapping[str, Any]) -> str:
    """Return the name of the weights that a training or a pruning began with, "" if none."""
    return str((settings.get("weights") or {}).get("name", ""))


def _pruning(here: Path, _: str, trained: bool) -> Lineage:
    found = read_mapping(here / RUN)
    earlier = lineage_in(found, here / RUN).sentences
    target, start = float(found["settings"]["target_ms"]), str(found["arch"]["name"])
    table, data = str(found["table"]["name"]), without_folders(found["data"]["name"])
    weights = _weights_name(found)
    begun = _begun(weights) if trained and _FOREIGN.match(weights) else []
    tuned = f", and fine-tuned on {data}" if trained else ""
    text = f"Pruned by NetAdapt from {start} to {target:g} ms{tuned}."
    return Lineage(sentences=(*earlier, text, *begun), table=table)


def _pipeline(here: Path, name: str, trained: bool) -> Lineage:
    settings = read_mapping(here / SETTINGS)
    done = [line for line in read_lines(here / PIPELINE.mark) if "stage" in line]
    networks = [one for line in done for one in line["done"]["networks"]]
    ends = [one for one in networks if one["part"] in ("trained", "pruned")]
    named = [one for one in networks if one["name"] == name]
    part = str((named or ends or networks)[-1]["part"])
    table, data = str(settings["latency_table"]), without_folders(settings["data"])
    sentences = [_searched(settings["search"], table)]
    if part != "found" and trained:
        train = settings["train"]
        begun = " from given weights" if train.get("weights") else ""
        sentences.append(f"Trained{begun} on {data}: recipe {_recipe(train)}.")
        sentences += _begun(str(train.get("weights") or ""))
    if part == "pruned":
        target = float(settings["netadapt"]["target_ms"])
        sentences.append(f"Pruned by NetAdapt to {target:g} ms.")
    if part == "scaled":
        sentences.append(f"Scaled from that network, as {name}.")
    return Lineage(sentences=tuple(sentences), table=table)


def _search(here: Path, _: str, __: bool) -> Lineage:
    settings = read_mapping(here / RUN)
    table = str(settings["latency_table"])
    return Lineage(sentences=(_searched(settings, table),), table=table)


def _extracted(text: str, trained: bool) -> Lineage:
    """Return how a network of a supernet was found, if `text` is a file of one."""
    path = Path(text)
    if path.suffix != SUFFIX or not path.is_file():
        return Lineage()
    try:
        facts = read_header(path)
    except BadFile:  # weights of others have no such header
        return Lineage()
    if not facts.supernet or not trained:
        return facts.lineage
    data = without_folders(facts.data.name)
    by = f"trained on {data}" if facts.data.fingerprint else f"the file {data}"
    text = (
        f"Its weights are part of a supernet of the space {facts.supernet}, {by}, without a "
        "training of their own."
    )
    return replace(facts.lineage, sentences=(*facts.lineage.sentences, text))


def _recipe(train: Mapping[str, Any]) -> str:
    recipe, epochs = train["recipe"], train.get("epochs")
    name = recipe["name"] if isinstance(recipe, Mapping) else recipe
    name = without_folders(name)
    return f"{name}, {counted(epochs, 'epoch')}" if epochs else name


def _searched(search: Mapping[str, Any], table: str) -> str:
    limits = search.get("limit") or []
    under = f" under {', '.join(map(str, limits))}" if limits else ""
    head = search.get("head")
    detectors = f"detectors with the head {head} on " if head else ""
    space, table = without_folders(search.get("space", "")), without_folders(table)
    return (
        f"Found by a search of {detectors}the space {space}{under}, "
        f"{int(search.get('trials', 0)):,} trials, latency by {table}."
    )


_READ: Mapping[Kind, Callable[[Path, str, bool], Lineage]] = {
    SEARCH: _search,
    TRAINING: _training,
    NETADAPT: _pruning,
    PIPELINE: _pipeline,
}
