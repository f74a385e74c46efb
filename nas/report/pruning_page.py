"""The page of a pruning by NetAdapt, read from its folder alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.core.data import read_mapping
from nas.core.errors import NasError
from nas.core.files import read_text
from nas.core.run_folder import PRUNED, RUN, read_lines, reporting_damage
from nas.core.storage import Place
from nas.network.checkpoint import architecture_of, metric_of
from nas.network.zoo import load_architecture
from nas.report.charts import line
from nas.report.page import Chart, Page, Part, Picture
from nas.report.training_page import network_part

ROUNDS, RESULT, FINAL = "journal.jsonl", "result.json", "final.yaml"
CHANNELS = "channels.png"
FILES = (RUN, ROUNDS, RESULT, FINAL, PRUNED, CHANNELS)
"""What the page of a pruning is made of."""
Line = Mapping[str, Any]


def pruning_page(place: Place) -> Page:
    """Return the page of the pruning in a folder, of whatever is there.

    Raises:
        NasError: if there is none, or its journal or settings are damaged.
    """
    with place.reading(*FILES) as here, reporting_damage(here / ROUNDS):
        settings = read_mapping(here / RUN)
        lines = read_lines(here / ROUNDS) if (here / ROUNDS).is_file() else []
        facts = _facts(settings, lines, _result(here))
        parts = pruning_parts(here)
    return Page(title=f"NetAdapt on {settings['arch']['name']}: {place}", facts=facts, parts=parts)


def pruning_parts(here: Path) -> tuple[Part, ...]:
    """Return the parts of the page of a pruning in the folder `here`.

    Raises:
        NasError: if its journal or settings are damaged.
    """
    with reporting_damage(here / ROUNDS):
        lines = read_lines(here / ROUNDS) if (here / ROUNDS).is_file() else []
        points = _points(lines, _result(here))
    picture = Picture(path=here / CHANNELS, text="Channels before and after")
    if not points:
        rounds = Part(heading="Rounds", texts=("No network is scored yet.",))
    else:
        rounds = Part(
            heading="Rounds",
            charts=(_chart(points),),
            headings=(
                "round",
                "cut",
                "latency ms",
                "MACs M",
                "params k",
                "held out %",
                f"{_metric(here)} %",
            ),
            rows=tuple(_row(point) for point in points),
        )
    return (
        rounds,
        _measured(_result(here)),
        _network(here),
        Part(heading="Pictures", pictures=(picture,) if picture.path.is_file() else ()),
        Part(heading="Settings", code=read_text(here / RUN)),
    )


def _metric(here: Path) -> str:
    """Return the metric of the network at the end, that of classifiers where it is not there."""
    try:
        return metric_of(architecture_of(here / PRUNED))
    except NasError:
        return "top1"


def _result(here: Path) -> Line:
    return read_mapping(here / RESULT) if (here / RESULT).is_file() else {}


def _points(lines: Sequence[Line], result: Line) -> list[dict[str, Any]]:
    """Return the start, the network of every round, and the end, as far as they are known."""
    if result:
        rounds = [
            {**one, "cut": f"{one['group']}: {one['was']} to {one['width']}"}
            for one in result["rounds"]
        ]
        start = {**result["start"], "round": "start", "cut": ""}
        return [start, *rounds, {**result["best"], "round": "end", "cut": "fine-tuned at length"}]
    found = [{**one["start"], "round": "start", "cut": ""} for one in lines if "start" in one]
    tried = {(one["round"], one["tried"]["group"]): one["tried"] for one in lines if "tried" in one}
    for one in lines:
        if "chosen" in one:
            own = tried[one["round"], one["chosen"]]
            cut = f"{own['group']}: {own['was']} to {own['width']}"
            found.append({**own["point"], "round": one["round"], "cut": cut})
    return found


def _facts(settings: Line, lines: Sequence[Line], result: Line) -> dict[str, str]:
    points, target = _points(lines, result), float(settings["settings"]["target_ms"])
    facts = {
        "state": "finished" if result else "unfinished",
        "rounds": str(sum("chosen" in one for one in lines)),
        "target": f"{target:g} ms on {settings['table']['name']}",
    }
    if points:
        first, last = points[0], points[-1]
        facts["latency"] = f"{first['latency_ms']:.4g} to {last['latency_ms']:.4g} ms"
        if first.get("top1") is not None and last.get("top1") is not None:
            facts["top1"] = f"{100 * first['top1']:.2f} to {100 * last['top1']:.2f} %"
    return facts


def _chart(points: Sequence[Line]) -> Chart:
    """Return the accuracies over the latency; the end stands by itself."""
    lines = {}
    rounds = [one for one in points if one["round"] != "end"]
    for name, shown in (("", rounds), ("end, ", points[len(rounds) :])):
        for key, text in (("top1", "validation"), ("held_out", "hold-out training images")):
            shares = [None if one.get(key) is None else 100 * float(one[key]) for one in shown]
            if any(share is not None for share in shares):
                lines[f"{name}{text}"] = [float(one["latency_ms"]) for one in shown], shares
    return line(
        lines,
        x="predicted latency (ms)",
        y="accuracy (%)",
        text="Between start and end the networks had a short fine-tuning only.",
    )


def _row(point: Line) -> tuple[str, ...]:
    shares = ("" if point.get(k) is None else f"{100 * point[k]:.2f}" for k in ("held_out", "top1"))
    return (
        str(point["round"]),
        str(point["cut"]),
        f"{point['latency_ms']:.4g}",
        f"{point['macs'] / 1e6:.2f}",
        f"{point['params'] / 1e3:.1f}",
        *shares,
    )


def _measured(result: Line) -> Part:
    found = result.get("measured") or {}
    rows = tuple((name, f"{v:.4g}" if isinstance(v, float) else str(v))
                 for name, v in found.items() if not isinstance(v, Mapping | list))  # fmt: skip
    return Part(heading="Measured on this machine", headings=("", "value"), rows=rows)


def _network(here: Path) -> Part:
    heading = "The network at the end"
    try:
        if (here / FINAL).is_file():
            return network_part(load_architecture(here / FINAL), heading=heading)
        if (here / PRUNED).is_file():
            return network_part(architecture_of(here / PRUNED), heading=heading)
    except NasError as error:
        return Part(heading=heading, texts=(f"not drawn: {error}",))
    return Part(heading=heading)
