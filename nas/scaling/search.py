"""Search alpha, beta and gamma by scoring every network of the grid; survives a kill.

`grid.jsonl` holds the settings and a line for every scored network; `grid.csv` is the grid, best
first, and `best.yaml` its first network.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.accuracy.predictor import AccuracyModel, load_accuracy_model, modelled_spaces
from nas.core.data import to_yaml
from nas.core.errors import BadValue, NasError, NotInSpace
from nas.core.files import write_text
from nas.core.jsonl import Lines, line_reader, resumed
from nas.core.progress import Report, quiet
from nas.core.run_folder import SCALED, SCALING, check_same, is_begun
from nas.core.schema import SCHEMA, Predicted
from nas.core.workers.runner import Failure
from nas.network.blocks import Architecture, to_mapping
from nas.scaling.grid import Budget, Point

JOURNAL, RESULTS = SCALING.mark, "grid.csv"
_ARCH, _SCORE, _ERROR = "fingerprint", "score", "error"

Score = Callable[[Sequence[Architecture]], Iterator[tuple[int, float | Failure]]]
"""Yields the index of every architecture with its accuracy, a fraction, or its `Failure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridScorer:
    """Scores the networks of a grid.

    `metric` is the name of the accuracy, empty if only costs are wanted; `text` identifies what
    the scores depend on, and `note` is shown with them.
    """

    metric: str = ""
    text: str = "costs"
    note: str = ""
    score: Score | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A point of the grid with its score; if that is NaN, `error` says why."""

    point: Point
    score: float = float("nan")
    error: str = ""


def by_model(points: Sequence[Point]) -> GridScorer:
    """Return a scorer that uses a bundled accuracy model whose space contains all networks.

    Raises:
        NotInSpace: if there is none; it says why for each space.
    """
    reasons = []
    for name in modelled_spaces():
        model = load_accuracy_model(name)
        try:
            _predict(model, [point.arch for point in points])
        except NotInSpace as error:
            reasons.append(str(error))
        else:
            return GridScorer(
                metric=model.metric,
                text=f"surrogate {model.fingerprint}",
                note=model.note,
                score=lambda archs, model=model: _predict(model, archs),  # type: ignore[misc]  # bound now
            )
    raise NotInSpace(
        "no bundled accuracy model knows every network of the grid; widths, for one, are fixed in "
        f"their spaces ({'; '.join(reasons)}); score with `evaluator=train` or costs"
    )


def _predict(
    model: AccuracyModel, archs: Sequence[Architecture]
) -> Iterator[tuple[int, float | Failure]]:
    """Yield the accuracies; drop rates, which grow with a network, do not change them."""
    space = model.domain
    plain = [
        replace(arch, dropout=space.dropout, drop_connect=space.drop_connect) for arch in archs
    ]
    return enumerate(map(float, model.predict(plain).accuracy))


def search(
    base: Architecture,
    budget: Budget,
    points: Sequence[Point],
    scorer: GridScorer,
    *,
    out: Path,
    report: Report = quiet,
) -> tuple[Scored, ...]:
    """Return every point with its score, best first, and store all in the folder `out`.

    Points that round to the same network are scored once. An interrupted search resumes with the
    networks that have no score yet; failed ones are tried again. Without an accuracy, the points
    nearest to the budget come first.

    Raises:
        RunError: if `out` holds another search, or cannot be written.
    """
    settings = _settings(base, budget, points, scorer)
    is_begun(out, SCALING)
    with resumed(out / JOURNAL, settings, writer="another search") as lines, closing(lines):
        scores = _replay(lines, settings)
        missing = {p.arch.fingerprint: p.arch for p in points if p.arch.fingerprint not in scores}
        errors = _score(scorer, missing, scores, lines, report) if scorer.score else {}
    scored = [
        Scored(
            point=point,
            score=scores.get(point.arch.fingerprint, float("nan")),
            error=errors.get(point.arch.fingerprint, ""),
        )
        for point in points
    ]
    ranked = tuple(sorted(scored, key=lambda row: _rank(row, budget)))
    write_text(out / RESULTS, to_csv(ranked, scorer))
    write_text(out / SCALED, to_yaml(to_mapping(ranked[0].point.arch)))
    return ranked


def _rank(row: Scored, budget: Budget) -> tuple[float, float, int]:
    """Return the sort key: the score, then the distance from the budget."""
    score = np.inf if np.isnan(row.score) else -row.score
    return (score, round(budget.distance(row.point.ratio), 9), row.point.cost.macs)


def _score(
    scorer: GridScorer,
    missing: Mapping[str, Architecture],
    scores: dict[str, float],
    lines: Lines,
    report: Report,
) -> dict[str, str]:
    """Score the missing networks, logging each, and return the errors of those that failed."""
    assert scorer.score is not None
    names, errors, known = list(missing), {}, len(scores)
    for done, (number, outcome) in enumerate(scorer.score(list(missing.values())), start=1):
        name = names[number]
        if isinstance(outcome, Failure):
            errors[name] = outcome.text
            lines.append({_ARCH: name, _ERROR: outcome.text})
        else:
            scores[name] = outcome
            lines.append({_ARCH: name, _SCORE: outcome})
        report(known + done, known + len(names), "")
    if names and len(errors) == len(names) and not scores:
        raise NasError(f"every network failed; the first: {errors[names[0]]}")
    return errors


def _settings(
    base: Architecture, budget: Budget, points: Sequence[Point], scorer: GridScorer
) -> Mapping[str, Any]:
    return {
        "schema": SCHEMA,
        "base": base.fingerprint,
        **asdict(budget),
        "networks": len({point.arch.fingerprint for point in points}),
        "evaluator": scorer.text,
        "metric": scorer.metric,
    }


def _replay(lines: Lines, settings: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores in the journal of a search with `settings`."""
    header, *records = lines.records
    known = {name: header.get(name) for name in settings}
    check_same(f"{lines.path} is another search: its", known, settings)
    found = {}
    for number, line in enumerate(records, start=2):
        one = line_reader(lines.path, number).record(line, _Line)
        if one.score is not None and not one.error:
            found[one.fingerprint] = one.score
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of the journal: a network with its score, or its error."""

    fingerprint: str
    score: Predicted | None = None
    error: str = ""

    def __post_init__(self) -> None:
        if self.score is None and not self.error:
            raise BadValue("needs a score or an error")


def record(row: Scored, scorer: GridScorer) -> dict[str, Any]:
    """Return a point as plain data."""
    point = row.point
    score = None if np.isnan(row.score) else row.score
    return {
        **asdict(point.by),
        "formula": round(point.by.growth, 6),
        "ratio": round(point.ratio, 6),
        "predicted_macs": round(point.predicted_macs),
        "macs": point.cost.macs,
        "times": round(point.times, 6),
        "prediction_error": round(point.prediction_error, 5),
        "params": point.cost.params,
        "latency_ms": point.latency.ms if point.latency else None,
        "resolution": point.arch.resolution,
        "blocks": sum(map(len, point.arch.stages)),
        **({scorer.metric: score} if scorer.metric else {}),
        "error": row.error,
        "fingerprint": point.arch.fingerprint,
    }


def to_csv(rows: Sequence[Scored], scorer: GridScorer) -> str:
    """Return the grid as CSV, in the order of `rows`."""
    records = [record(row, scorer) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
