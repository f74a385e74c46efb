"""Several searches as a table: mean and standard deviation over the seeds of equal settings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from statistics import fmean, stdev
from typing import Any

import numpy as np

from nas.core.errors import RunError
from nas.core.storage import Place
from nas.core.text import printable
from nas.searching.config import SearchConfig
from nas.searching.fronts import is_affordable, reference_point, signed
from nas.searching.metrics import FRACTIONS
from nas.searching.pareto import hypervolume, non_dominated
from nas.searching.runs.result import RESULT, read_result
from nas.searching.runs.stored import StoredRun, read_run

_PLAIN = ("space", "strategy", "evaluator", "latency_table", "head", "screen", "limit", "objective")
_BY_ITSELF = ("space", "strategy", "evaluator", "latency_table")
_NOT_NAMED = ("seed", "runner", "workers", "ray_address", "gpus_per_trial", "batch")
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRow:
    """Runs that differ in their seeds alone.

    `values` has for "hypervolume" and the best of each objective one value for each seed; NaN for a
    hypervolume that would take too long.
    """

    name: str
    seeds: tuple[int, ...]
    trials: tuple[int, ...]
    values: dict[str, tuple[float, ...]]

    def record(self) -> dict[str, Any]:
        """Return it as plain data, with mean and standard deviation, None for one seed."""
        named = {
            name: {"mean": fmean(found), "std": stdev(found) if len(found) > 1 else None,
                   "values": list(found)}
            for name, found in self.values.items()
        }  # fmt: skip
        return {"name": self.name, "seeds": list(self.seeds), "trials": list(self.trials), **named}


def seed_rows(names: Sequence[str]) -> tuple[SeedRow, ...]:
    """Return a row for each different setting of some searches, in their order.

    All hypervolumes are counted from one reference point, the worst of those of the runs.

    Raises:
        NasError: if one is no search, has no feasible trial, or other objectives than the first;
            or the same seed is given twice.
    """
    places = [Place(name) for name in names]
    runs = [read_run(place) for place in places]
    _check(runs)
    reference = np.max([_reference(run) for run in runs], axis=0)
    groups: dict[SearchConfig, list[StoredRun]] = {}
    for run in runs:
        groups.setdefault(_without_seed(run.config), []).append(run)
    named = _names(list(groups))
    return tuple(
        _row(name, group, reference) for name, group in zip(named, groups.values(), strict=True)
    )


def _check(runs: Sequence[StoredRun]) -> None:
    first = runs[0]
    for run in runs:
        if not run.objectives or not run.trials.ok.any():
            raise RunError(f"{run.out} has no trial that satisfied the constraints")
        if run.objectives != first.objectives:
            ours, others = (", ".join(map(str, r.objectives)) for r in (run, first))
            raise RunError(
                f"{run.out} and {first.out} do not compare: their objectives are {ours} and "
                f"{others}"
            )


def _reference(run: StoredRun) -> np.ndarray[Any, np.dtype[np.float64]]:
    with run.out.reading(RESULT) as here:
        found = read_result(here)
    if len(found.reference_point) == len(run.objectives):
        return np.array(found.reference_point)
    return reference_point(run.objectives, run.constraints, run.trials, found.baseline or {})


def _without_seed(config: SearchConfig) -> SearchConfig:
    usual = SearchConfig()
    return replace(config, **{name: getattr(usual, name) for name in _NOT_NAMED})


def _names(settings: Sequence[SearchConfig]) -> list[str]:
    """Return what tells the settings apart; space and strategy where there is one alone."""
    plain = [asdict(one) for one in settings]
    keys = [key for key in _PLAIN if len({str(one[key]) for one in plain}) > 1]
    keys += [k for k in plain[0] if k not in _PLAIN and len({str(one[k]) for one in plain}) > 1]
    shown = keys or ["space", "strategy"]
    return [", ".join(_said(key, one[key]) for key in shown) for one in plain]


def _said(key: str, value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    shown = printable(text, 60) or "none"
    return shown if key in _BY_ITSELF else f"{key} {shown}"


def _row(name: str, runs: Sequence[StoredRun], reference: Any) -> SeedRow:
    seeds = tuple(run.config.seed for run in runs)
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise RunError(
                f"seed {seed} of {name} is given {seeds.count(seed)} times: one run says nothing "
                "of the spread"
            )
    values: dict[str, tuple[float, ...]] = {
        "hypervolume": tuple(_volume(r, reference) for r in runs)
    }
    for objective in runs[0].objectives:
        best = (
            float((objective.sign * run.trials.metrics[objective.metric])[run.trials.ok].min())
            for run in runs
        )
        values[objective.metric] = tuple(objective.sign * value + 0.0 for value in best)
    trials = tuple(len(run.trials) for run in runs)
    return SeedRow(name=name, seeds=seeds, trials=trials, values=values)


def _volume(run: StoredRun, reference: Any) -> float:
    scores = signed(run.objectives, run.trials)[run.trials.ok]
    front = scores[non_dominated(scores)]
    return hypervolume(front, reference) if is_affordable(*front.shape) else float("nan")


def latex_table(rows: Sequence[SeedRow]) -> str:
    """Return the rows as a table of LaTeX, for the package booktabs."""
    metrics = list(rows[0].values)
    heads = ["Search", "Seeds", "Trials", *map(_head, metrics)]
    body = [" & ".join(_cells(row, metrics)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{tabular}{l" + "r" * (len(heads) - 1) + "}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _head(metric: str) -> str:
    if metric == "hypervolume":
        return "Hypervolume"
    return f"Best {escaped(metric)}" + (r" (\%)" if metric in FRACTIONS else "")


def _cells(row: SeedRow, metrics: Sequence[str]) -> list[str]:
    least, most = min(row.trials), max(row.trials)
    trials = str(most) if least == most else f"{least}--{most}"
    return [escaped(row.name), str(len(row.seeds)), trials, *(_spread(row, m) for m in metrics)]


def _spread(row: SeedRow, metric: str) -> str:
    scale = 100 if metric in FRACTIONS else 1
    found = [scale * value for value in row.values[metric]]
    if not all(map(isfinite, found)):
        return "--"
    digits = 2 if metric in FRACTIONS else max(0, 3 - len(str(int(abs(fmean(found))))) + 1)
    mean = f"{fmean(found):.{digits}f}"
    return f"${mean} \\pm {stdev(found):.{digits}f}$" if len(found) > 1 else f"${mean}$"


def escaped(text: str) -> str:
    """Return a text with what LaTeX would obey escaped."""
    return "".join(_SPECIAL.get(character, character) for character in text)
