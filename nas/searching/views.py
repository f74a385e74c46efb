"""What a notebook shows of a search: data frames, a table, and a picture of its objectives.

pandas and matplotlib are imported when they are asked for.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError, missing_package
from nas.core.text import safe
from nas.searching.metrics import FRACTIONS
from nas.searching.problem import Objective, Trials
from nas.space.space import Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

SHOWN = 20
"""The most solutions of a table, spread over the front."""


def trials_frame(trials: Trials, space: Space) -> "DataFrame":
    """Return a data frame with a row for each trial: status, metrics, and a column per choice.

    Its index is the number of the trial. Choices without an influence are None.

    Raises:
        MissingPackage: if pandas is not installed.
    """
    pandas = _pandas()
    numbers = np.arange(trials.first, trials.first + len(trials))
    active = space.active(trials.picks)
    picks = {
        column.name: _chosen(column.values, trials.picks[:, i], active[:, i])
        for i, column in enumerate(space.columns)
    }
    errors = [trials.errors.get(number, "") for number in numbers.tolist()]
    columns = {"status": trials.status, **trials.metrics, "error": errors, **picks}
    return pandas.DataFrame(columns, index=pandas.Index(numbers, name="trial"))


def solutions_frame(records: Sequence[Mapping[str, Any]]) -> "DataFrame":
    """Return a data frame with a row for each solution, by its name; see `Run.records`.

    Raises:
        MissingPackage: if pandas is not installed.
    """
    pandas = _pandas()
    flat = [{**{k: v for k, v in r.items() if k != "picks"}, **r.get("picks", {})} for r in records]
    frame = pandas.DataFrame(flat)
    return frame.set_index("name") if flat else frame


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="to_pandas()") from None
    return pandas


def _chosen(
    values: Sequence[Any], indices: NDArray[Any], active: NDArray[np.bool_]
) -> NDArray[np.object_]:
    found: NDArray[np.object_] = np.array([*values], dtype=object)[indices]
    return np.where(active, found, np.array(None, dtype=object))


def html_table(title: str, records: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Return a table of at most `SHOWN` solutions as HTML; `metric` is that of the accuracy."""
    chosen = np.unique(np.linspace(0, len(records) - 1, min(SHOWN, len(records))).round())
    rows = [records[int(i)] for i in chosen] if records else []
    head = ("", metric + (" %" if metric in FRACTIONS else ""), "latency ms", "interval", "MACs M",
            "params M")  # fmt: skip
    cells = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{_cells(row, metric)}</tr>" for row in rows)
    few = f", {len(rows)} shown" if len(rows) < len(records) else ""
    caption = _text(f"{title}: {len(records)} solutions{few}")
    return f"<table><caption>{caption}</caption><tr>{cells}</tr>{body}</table>"


def _cells(row: Mapping[str, Any], metric: str) -> str:
    scale = 100 if metric in FRACTIONS else 1
    accuracy, deviation = row.get(metric), row.get(f"{metric}_deviation")
    texts = (
        str(row["name"]),
        "" if accuracy is None else f"{scale * accuracy:.2f}",
        f"{row['latency_ms']:.3g}",
        f"{row['latency_low_ms']:.3g} - {row['latency_high_ms']:.3g}",
        f"{row['macs'] / 1e6:.0f}",
        f"{row['params'] / 1e6:.2f}",
    )
    if deviation is not None and texts[1]:
        texts = (texts[0], f"{texts[1]} ±{scale * deviation:.2f}", *texts[2:])
    return "".join(f"<td>{_text(text)}</td>" for text in texts)


def _text(text: str) -> str:
    return escape(safe(text))


def plot_trials(
    objectives: Sequence[Objective], trials: Trials, front: NDArray[np.int64]
) -> "NDArray[np.object_]":
    """Draw all trials and the front, with the objectives on the axes; return the axes, an array.

    Two objectives give one picture, three one for each pair; one is drawn over the trials.

    Raises:
        MissingPackage: if matplotlib is not installed.
        NasError: if no trial satisfied the constraints.
    """
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="plot()") from None
    if not trials.ok.any():
        raise NasError("nothing to draw: no trial satisfied the constraints")
    pairs: list[tuple[Objective | None, Objective]] = [
        (second, first) if first.sign < 0 else (first, second)
        for first, second in combinations(objectives, 2)
    ] or [(None, objectives[0])]
    size = (5.6 * len(pairs), 4.2)
    _, axes = pyplot.subplots(1, len(pairs), squeeze=False, figsize=size, layout="constrained")
    for pair, place in zip(pairs, axes[0], strict=True):
        _draw_pair(place, pair, trials, front, joined=len(objectives) == 2)
    axes[0][0].legend()
    found: NDArray[np.object_] = axes[0]
    return found


def _draw_pair(
    axes: "Axes",
    pair: tuple[Objective | None, Objective],
    trials: Trials,
    front: NDArray[np.int64],
    *,
    joined: bool,
) -> None:
    across, up = (_values(objective, trials) for objective in pair)
    ok = trials.ok
    axes.plot(
        across[ok], up[ok], ".", color="#bbbbbb", markersize=3, label="trials", rasterized=True
    )
    order = front[np.argsort(across[front])]
    axes.plot(across[order], up[order], ".-" if joined else ".", color="#1f77b4", label="front")
    for objective, name in zip(pair, ("x", "y"), strict=True):
        axes.set(**{f"{name}label": _label(objective)})
    axes.grid(alpha=0.25)


def _values(objective: Objective | None, trials: Trials) -> NDArray[np.float64]:
    if objective is None:
        return np.arange(len(trials), dtype=np.float64)
    return trials.metrics[objective.metric] * (100 if objective.metric in FRACTIONS else 1)


def _label(objective: Objective | None) -> str:
    if objective is None:
        return "trial"
    return objective.metric + (" (%)" if objective.metric in FRACTIONS else "")
