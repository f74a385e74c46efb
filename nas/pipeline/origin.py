"""Sentences for a model card: how a network was found, and its latency."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from nas.core.data import bundled, read_mapping
from nas.core.errors import NasError
from nas.core.run_folder import (
    BEST,
    NETADAPT,
    PIPELINE,
    RUN,
    SEARCH,
    TRAINING,
    Kind,
    kind_of,
    read_lines,
    reporting_damage,
)
from nas.core.schema import Reader
from nas.core.storage import is_url, split_name
from nas.core.text import counted
from nas.exporting.card import LATENCY, ORIGIN, Origin, without_folders
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.network.zoo import published_weights
from nas.pipeline.journal import SETTINGS
from nas.report.table_notes import latency_remarks
from nas.report.tables import ms_text

logger = logging.getLogger(__name__)
_FOREIGN = re.compile(r"(timm|torchvision):")
CARD = "hub"
"""The exporter that writes a model card."""


def with_origin(trained: Checkpoint, text: str, *, latency_table: str = "") -> Checkpoint:
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
    found = origin(text)
    notes = {ORIGIN: json.dumps(found.sentences)}
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


def origin(text: str) -> Origin:
    """Return how the network that `text` names was found, as far as its folder records it.

    Raises:
        RunError: if the folder is damaged.
    """
    if _FOREIGN.match(text):
        return Origin(sentences=(_foreign(text),))
    if is_url(text):
        return Origin()
    folder, name = split_name(text)
    here = Path(folder).parent if Path(folder).is_file() else Path(folder)
    kind = kind_of(here)
    if kind is None or kind not in _READ:
        return Origin()
    with reporting_damage(here / kind.mark):
        return _READ[kind](here, name or BEST)


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
    named = _known(weights) if _FOREIGN.match(weights) else Path(weights).name
    return [f"It began with weights of {named}."]


def _earlier(path: Path, settings: Mapping[str, Any]) -> Origin:
    """Return how the network in `settings`, the content of `path`, was found before, if known."""
    return Reader(path).get(settings, "origin", Origin) if "origin" in settings else Origin()


def _training(here: Path, _: str) -> Origin:
    settings = read_mapping(here / TRAINING.mark)
    earlier = _earlier(here / TRAINING.mark, settings)
    name, data = str(settings["arch"]["name"]), without_folders(settings["data"]["name"])
    recipe, seed = settings["recipe"], settings["seed"]
    weights = settings.get("weights")
    begun = " from given weights" if weights else ""
    teacher = ", taught by a larger network" if settings.get("teacher") else ""
    text = (
        f"The architecture {name} was trained{begun} by nas train on {data}: recipe "
        f"{recipe['name']}, {counted(recipe['epochs'], 'epoch')}, batch size {recipe['batch']}, "
        f"seed {seed}{teacher}."
    )
    begun_with = _begun(str((weights or {}).get("name", "")))
    return replace(earlier, sentences=(*earlier.sentences, text, *begun_with))


def _pruning(here: Path, _: str) -> Origin:
    found = read_mapping(here / RUN)
    earlier = _earlier(here / RUN, found).sentences
    target, start = float(found["settings"]["target_ms"]), str(found["arch"]["name"])
    table, data = str(found["table"]["name"]), without_folders(found["data"]["name"])
    text = f"Pruned by NetAdapt from {start} to {target:g} ms, and fine-tuned on {data}."
    return Origin(sentences=(*earlier, text), table=table)


def _pipeline(here: Path, name: str) -> Origin:
    settings = read_mapping(here / SETTINGS)
    done = [line for line in read_lines(here / PIPELINE.mark) if "stage" in line]
    networks = [one for line in done for one in line["done"]["networks"]]
    ends = [one for one in networks if one["part"] in ("trained", "pruned")]
    named = [one for one in networks if one["name"] == name]
    part = str((named or ends or networks)[-1]["part"])
    table, data = str(settings["latency_table"]), without_folders(settings["data"])
    sentences = [_searched(settings["search"], table)]
    if part != "found":
        train = settings["train"]
        begun = " from given weights" if train.get("weights") else ""
        sentences.append(f"Trained{begun} on {data}: recipe {_recipe(train)}.")
        sentences += _begun(str(train.get("weights") or ""))
    if part == "pruned":
        target = float(settings["netadapt"]["target_ms"])
        sentences.append(f"Pruned by NetAdapt to {target:g} ms.")
    if part == "scaled":
        sentences.append(f"Scaled from that network, as {name}.")
    return Origin(sentences=tuple(sentences), table=table)


def _search(here: Path, _: str) -> Origin:
    settings = read_mapping(here / RUN)
    table = str(settings["latency_table"])
    return Origin(sentences=(_searched(settings, table),), table=table)


def _recipe(train: Mapping[str, Any]) -> str:
    recipe, epochs = train["recipe"], train.get("epochs")
    name = recipe["name"] if isinstance(recipe, Mapping) else recipe
    return f"{name}, {counted(epochs, 'epoch')}" if epochs else str(name)


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


_READ: Mapping[Kind, Callable[[Path, str], Origin]] = {
    SEARCH: _search,
    TRAINING: _training,
    NETADAPT: _pruning,
    PIPELINE: _pipeline,
}
