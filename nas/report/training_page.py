"""The page of a training, read from its folder alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.core.data import read_mapping
from nas.core.errors import NasError
from nas.core.files import read_text
from nas.core.run_folder import SUPERNET, TRAINING, Kind, read_lines, reporting_damage
from nas.core.storage import Place
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.report.charts import line
from nas.report.evaluations import EVALUATIONS, PREDICTIONS, evaluation_parts
from nas.report.network_data import network_data
from nas.report.page import Chart, Page, Part, Picture
from nas.searching.metrics import FRACTIONS

METRICS, ARCH = "metrics.jsonl", "arch.yaml"
FILES = (TRAINING.mark, SUPERNET.mark, METRICS, ARCH, *EVALUATIONS, PREDICTIONS)
"""What the page of a training is made of."""
_LOSSES = {"loss": "training", "val_loss": "validation"}
_PER_CENT = 100.0
_SCORES = ("top1", "map")
Epochs = Sequence[Mapping[str, Any]]


def training_page(place: Place, kind: Kind = TRAINING) -> Page:
    """Return the page of the training in a folder, or of a supernet's, of whatever is there.

    Raises:
        NasError: if there is none, or its settings or history are damaged.
    """
    with place.reading(*FILES) as here:
        return Page(
            title=f"{kind.word.capitalize()}: {place}",
            facts=_facts(here, kind),
            parts=training_parts(here, kind),
        )


def training_parts(here: Path, kind: Kind = TRAINING) -> tuple[Part, ...]:
    """Return the parts of the page of a training in the folder `here`.

    Raises:
        NasError: if its history is damaged.
    """
    with reporting_damage(here / METRICS):
        epochs = _epochs(here)
        charts = _curves(epochs)
    picture = Picture(path=here / PREDICTIONS, text="What the detector finds in validation images")
    return (
        Part(heading="Curves", charts=charts, texts=() if epochs else ("No epoch is done yet.",)),
        *evaluation_parts(here),
        Part(heading="Pictures", pictures=(picture,) if picture.path.is_file() else ()),
        _network(here),
        Part(heading="Settings", code=read_text(here / kind.mark)),
    )


def _facts(here: Path, kind: Kind) -> dict[str, str]:
    with reporting_damage(here / kind.mark):
        settings = read_mapping(here / kind.mark)
        wanted, data = int(settings["recipe"]["epochs"]), str(settings["data"]["name"])
    with reporting_damage(here / METRICS):
        epochs = _epochs(here)
        done = int(epochs[-1]["epoch"]) if epochs else 0
        state = "finished" if done >= wanted else "unfinished"
        facts = {"state": state, "data": data, "epochs": f"{done} of {wanted}"}
        if metric := _metric(epochs):
            best = max(epochs, key=lambda one: float(one[metric]))
            facts[f"best {metric}"] = f"{_PER_CENT * float(best[metric]):.2f} %"
            facts["in epoch"] = str(best["epoch"])
        return facts


def _epochs(here: Path) -> Epochs:
    lines = read_lines(here / METRICS) if (here / METRICS).is_file() else []
    return [one for one in lines if "epoch" in one]


def _metric(epochs: Epochs) -> str:
    return next((m for m in ("map", "top1") if epochs and m in epochs[-1]), "")


def _curves(epochs: Epochs) -> tuple[Chart, ...]:
    """Return the losses, the accuracies and the rate over the epochs."""
    if not epochs:
        return ()
    at = [int(one["epoch"]) for one in epochs]
    losses = {text: (at, _values(epochs, key)) for key, text in _LOSSES.items()}
    scores = {
        key: (at, [None if v is None else _PER_CENT * v for v in _values(epochs, key)])
        for key in epochs[-1]
        if key in FRACTIONS or key.startswith(_SCORES)
    }
    charts = [line(losses, x="epoch", y="loss", height=280)]
    if scores:
        text = "On the validation images, which also pick the epoch."
        charts.append(line(scores, x="epoch", y=f"{', '.join(scores)} (%)", text=text, height=280))
    rate = {"learning rate": (at, _values(epochs, "lr"))}
    return (*charts, line(rate, x="epoch", y="learning rate", height=200))


def _values(epochs: Epochs, key: str) -> list[float | None]:
    return [None if one.get(key) is None else float(one[key]) for one in epochs]


def _network(here: Path) -> Part:
    heading = "The network"
    if not (here / ARCH).is_file():
        return Part(heading=heading)
    try:
        return network_part(load_architecture(here / ARCH), heading=heading)
    except NasError as error:
        return Part(heading=heading, texts=(f"not drawn: {error}",))


def network_part(arch: Architecture, *, heading: str) -> Part:
    """Return the part that draws one network by the MACs of its blocks."""
    found, name = cost(arch), arch.name or arch.fingerprint
    text = f"{name}: {found.macs / 1e6:,.1f} M MACs, {found.params / 1e6:,.2f} M parameters"
    return Part(heading=heading, texts=(text,), networks=network_data({name: arch}), network=name)
