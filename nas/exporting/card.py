"""The model card of a network: what it is, how good and how fast, and how it was found."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nas.core.data import to_yaml
from nas.core.text import printable
from nas.network.blocks import Architecture
from nas.network.checkpoint import named_classes
from nas.network.cost import cost
from nas.network.lineage import LINEAGE

LATENCY = "latency"
"""Metadata of a card alone, as is `LINEAGE`: a JSON list of sentences, here on its latency."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card says beside the network and its metadata.

    `files` says what each file is, by its name; `licence` is empty where none is stated, `library`
    where none loads the folder by itself.
    """

    files: Mapping[str, str]
    licence: str = ""
    library: str = ""


def model_card(arch: Architecture, metadata: Mapping[str, str], card: Card) -> str:
    """Return the text of the card, Markdown behind a YAML header, as the hub shows it."""
    head: dict[str, Any] = {"license": card.licence} if card.licence else {}
    head |= {"library_name": card.library} if card.library else {}
    task = "object-detection" if arch.detector else "image-classification"
    tags = [task, "neural-architecture-search"]
    head |= {"pipeline_tag": task, "tags": [*tags, *([card.library] if card.library else [])]}
    sections = {
        "Accuracy": [_accuracy(metadata)],
        "Data": _data(metadata),
        "Latency": _sentences(metadata, LATENCY),
        "How it was found": _sentences(metadata, LINEAGE),
        "Files": [f"- `{name}`: {text}" for name, text in card.files.items()],
        "Licence": [f"{card.licence}." if card.licence else "None is stated."],
    }
    parts = [f"---\n{to_yaml(head)}---", f"# {_plain(arch.name or arch.fingerprint)}"]
    parts.append(_summary(arch, trained="data" in metadata))
    for title, lines in sections.items():
        parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _summary(arch: Architecture, *, trained: bool) -> str:
    counted = cost(arch)
    side, classes = arch.resolution, arch.head[-1].out_channels if arch.head else 0
    if arch.detector:
        classes = arch.detector.classes
    kind = "object detector" if arch.detector else "image classifier"
    text = (
        f"A convolutional {kind} of {_count(counted.params, 2)} parameters and "
        f"{_count(counted.macs, 1)} multiply-adds, for {arch.input_channels} x {side} x "
        f"{side} inputs and {classes:,} classes."
    )
    return text if trained else f"{text} It is not trained: there are no weights here."


def _count(number: int, digits: int) -> str:
    """Return a number, in millions from a hundred thousand on."""
    return f"{number / 1e6:.{digits}f} million" if number >= 1e5 else f"{number:,}"


def _accuracy(metadata: Mapping[str, str]) -> str:
    if "map" in metadata:
        data = _plain(metadata["data"])
        return f"{100 * float(metadata['map']):.1f} AP (COCO's) on the validation images of {data}."
    if "top1" not in metadata:
        return "Not known."
    data = _plain(metadata["data"])
    return f"{100 * float(metadata['top1']):.1f} % top-1 on the validation images of {data}."


def _data(metadata: Mapping[str, str]) -> list[str]:
    if "data" not in metadata:
        return ["None."]
    mean, deviation, classes = (
        json.loads(metadata[name]) for name in ("mean", "deviation", "classes")
    )
    library, colon, source = metadata["data"].partition(":")
    foreign = bool(colon) and library in ("timm", "torchvision")
    name = _plain(f"{library}:{PurePath(source).name}" if foreign else metadata["data"])
    of = f"That of {name}" if foreign else f"Trained on {name}"
    return [
        f"{of}, of {len(classes):,} classes"
        + (", which `config.json` names in their order." if named_classes(metadata) else "."),
        "",
        f"- images: {metadata['crop']}; {metadata['interpolation']}",
        f"- channels: {metadata['channel_order']}, {metadata['range']}",
        f"- mean: {_numbers(mean)}; deviation: {_numbers(deviation)}",
    ]


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _sentences(metadata: Mapping[str, str], name: str) -> list[str]:
    """Return the sentences on something, each a paragraph."""
    texts = [_plain(text) for text in json.loads(metadata.get(name, "[]"))]
    return ["\n\n".join(texts) or "Not stated."]


def _plain(text: str) -> str:
    """Return `text` so that neither Markdown nor HTML finds anything in it."""
    return _SPECIAL.sub(r"\\\1", printable(text, _LONGEST))
