"""Accuracy on your own data after a short training, in rungs: weaker candidates stop early."""

import atexit
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from nas.accuracy.short import Segment, ShortTrainingSetup, advance, discard, finish, name_of
from nas.core.errors import BadValue, NasError
from nas.core.jsonl import Lines, Record, line_reader, resumed
from nas.core.run_folder import other
from nas.core.schema import Fraction, Reader, Seconds, Signed
from nas.core.storage import Place
from nas.core.text import counted
from nas.core.workers.runner import Failure, InProcess, Runner, outcomes
from nas.network.weights import fingerprint
from nas.searching.problem import Answers, Candidates, Metrics
from nas.searching.rungs import Floats, expected, promoted, schedule
from nas.space.heads import Detectors, decode
from nas.space.space import Space
from nas.supernet.inherited import find_relative
from nas.supernet.supernet import Supernet
from nas.training.data import check_side, load_data
from nas.training.recipe_files import find_recipe, pinned
from nas.training.recipes import adapt
from nas.training.run import ShortTrainingResult, fit_recipe

FOLDER, LOG = "trainings", "log.jsonl"
ACCURACY, PRECISION = "top1_proxy", "map"
"""The metric of classifiers and that of detectors, the average precision of COCO."""
GRACE = 2
"""A late training ends itself; one that hangs is ended after so many times its time limit."""


class Proxy:
    """Trains all candidates briefly, and only the better ones on.

    Every rung that a candidate reaches is a line in `trainings/log.jsonl`, behind which a killed
    search resumes. Candidates are promoted among all that ever reached the rung, by all objectives
    that are known then. A stopped candidate gets the accuracy to be expected of it, from how the
    errors of others shrank.
    """

    seconds = 60.0

    def __init__(
        self,
        setup: ShortTrainingSetup,
        log: Path,
        *,
        ends: tuple[int, ...],
        eta: int,
        runner: Runner,
        text: str,
    ) -> None:
        """Train on `setup`; rungs end at the epochs `ends`; the file `log` remembers them."""
        self._setup, self._log, self._ends, self._eta = setup, log, ends, eta
        self._runner, self._text = runner, text

    @property
    def int8(self) -> bool:
        """Whether candidates for int8 are measured in int8."""
        return self._setup.int8

    @property
    def accuracy(self) -> str:
        """The name of the accuracy: of detectors another one."""
        return PRECISION if self._setup.data.task == "detection" else ACCURACY

    @property
    def provides(self) -> tuple[str, ...]:
        """The accuracy, and the epochs trained."""
        return self.accuracy, "epochs"

    @property
    def at_once(self) -> int:
        """Candidates for a call: enough for all workers, in the second rung too."""
        return self._eta * max(2, self._runner.workers)

    @property
    def first_at_once(self) -> int:
        """Candidates for the first call: some are trained to the end before many are begun."""
        return self._runner.workers

    @property
    def note(self) -> str:
        """What the numbers are."""
        size = f" at {self._setup.resolution} px" if self._setup.resolution else ""
        data, recipe = self._setup.data.name, self._setup.recipe.name
        what = "average precision" if self.accuracy == PRECISION else "accuracy"
        length = counted(self._ends[-1], "epoch")
        in_int8 = ", in int8 after quantization as onnxruntime runs it" if self.int8 else ""
        begun, inherit = "", ""
        if name := self._setup.inherit:
            begun, inherit = f" from weights of {name}", f" --inherit {name}"
        return (
            f"{self.accuracy} is the {what} on {data} after {length} of recipe "
            f"{recipe}{size}{begun}{in_int8}; train what you choose in full: nas train RUN:best "
            f"--data {data}{inherit}"
        )

    def __call__(self, candidates: Candidates) -> Answers:
        """Return the accuracy, a fraction, and the epochs trained, of every candidate.

        Raises:
            RunError: if a training or the log cannot be written.
        """
        header = {"schema": 1, "evaluator": self._text}
        with resumed(self._log, header, writer="another search") as lines, closing(lines):
            log = _Log(lines, self._text, self._ends, self.accuracy)
            going = list(range(len(candidates)))
            for rung in range(len(self._ends)):
                self._climb(candidates, going, rung, log)
                going = self._promoted(candidates, going, rung, log)
            return _answers(self._names(candidates), log, self._ends, self.accuracy)

    def _climb(self, candidates: Candidates, going: Sequence[int], rung: int, log: "_Log") -> None:
        """Train the candidates `going` to the end of a rung, unless the log has it already."""
        archs, whole, names = candidates.archs, self._in_int8(candidates), self._names(candidates)
        missing = [i for i in going if log.find(rung, names[i]) is None]
        until = self._ends[rung]
        segments = [Segment(arch=archs[i], until=until, int8=whole[i]) for i in missing]
        most = GRACE * self._setup.seconds
        for number, outcome in outcomes(self._runner, advance, self._setup, segments, seconds=most):
            i = missing[number]
            if isinstance(outcome, Failure):
                log.failed(rung, names[i], outcome.text)
                discard(self._setup, archs[i], int8=whole[i])
            else:
                scores = _scores(candidates, i, outcome, self.accuracy)
                log.reached(rung, names[i], outcome, scores)
                if rung == len(self._ends) - 1:
                    finish(self._setup, archs[i], int8=whole[i])

    def _in_int8(self, candidates: Candidates) -> list[bool]:
        """Return which candidates are quantized after their training."""
        if not self.int8 or candidates.int8 is None:
            return [False] * len(candidates)
        return [bool(one) for one in candidates.int8]

    def _names(self, candidates: Candidates) -> list[str]:
        """Return the names of the trainings of candidates."""
        pairs = zip(candidates.archs, self._in_int8(candidates), strict=True)
        return [name_of(arch, int8=whole) for arch, whole in pairs]

    def _promoted(
        self, candidates: Candidates, going: Sequence[int], rung: int, log: "_Log"
    ) -> list[int]:
        """Return the candidates that are promoted; the weights of the others are removed."""
        if rung == len(self._ends) - 1:
            return []
        known, scores = log.population(rung)
        good = {known[i] for i in np.flatnonzero(promoted(scores, eta=self._eta))}
        whole, names = self._in_int8(candidates), self._names(candidates)
        kept = [i for i in going if names[i] in good]
        for i in set(going) - set(kept):
            discard(self._setup, candidates.archs[i], int8=whole[i])
        return kept

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the noise of a training is unknown."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return self._text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of the log: what a candidate reached at a rung, or why it failed."""

    rung: int
    fingerprint: str
    epochs: int = 0
    top1: Fraction | None = None
    map: Fraction | None = None
    scores: tuple[Signed, ...] = ()
    seconds: Seconds = 0.0
    error: str | None = None

    def __post_init__(self) -> None:
        one = (self.top1 is None) != (self.map is None)
        if self.error is None and not (one and self.scores):
            raise BadValue("needs top1 or map, and scores, or an error")


class _Log:
    """What every candidate reached, by rung and fingerprint; a file remembers it."""

    def __init__(self, lines: Lines, text: str, ends: tuple[int, ...], accuracy: str) -> None:
        self._lines = lines
        self.value = accuracy.partition("_")[0]
        self._rungs: list[dict[str, Record]] = [{} for _ in ends]
        found = lines.records[0].get("evaluator")
        if found != text:
            raise other(f"{lines.path} is of other trainings: its evaluator is", found, text)
        for number, record in enumerate(lines.records[1:], start=2):
            read = line_reader(lines.path, number)
            line = read.record(record, _Line)
            if line.rung >= len(ends):
                raise read.bad(record, "rung", f"below {len(ends)}")
            self._check(read, line)
            self._rungs[line.rung][line.fingerprint] = record

    def _check(self, read: Reader, line: _Line) -> None:
        """Refuse a line of a candidate that skipped a rung, or with other objectives."""
        before = self._rungs[line.rung - 1].get(line.fingerprint) if line.rung else {}
        if before is None or "error" in before:
            raise read.fail(f"it has no line of rung {line.rung - 1}")
        scored = (r["scores"] for r in self._rungs[line.rung].values() if "error" not in r)
        first = next(scored, line.scores)
        if line.error is None and len(first) != len(line.scores):
            raise read.fail(f"scores must be {len(first)} numbers, not {len(line.scores)}")

    def find(self, rung: int, arch: str) -> Record | None:
        return self._rungs[rung].get(arch)

    def reached(
        self, rung: int, arch: str, reached: ShortTrainingResult, scores: Sequence[float]
    ) -> None:
        self._add(
            rung,
            arch,
            epochs=reached.epochs,
            **{self.value: reached.value},
            scores=list(scores),
            seconds=round(reached.seconds, 3),
        )

    def failed(self, rung: int, arch: str, error: str) -> None:
        self._add(rung, arch, error=error)

    def _add(self, rung: int, arch: str, **facts: Any) -> None:
        record = {"rung": rung, "fingerprint": arch, **facts}
        self._lines.append(record)
        self._rungs[rung][arch] = record

    def population(self, rung: int) -> tuple[list[str], Floats]:
        """Return the fingerprints and the scores of all that reached a rung."""
        rung_now = sorted(self._rungs[rung].items())  # in whatever order they were ready
        found = {name: r["scores"] for name, r in rung_now if "error" not in r}
        return list(found), np.array(list(found.values()) or np.zeros((0, 1)), dtype=float)

    def gains(self, rung: int) -> tuple[Floats, Floats]:
        """Return the accuracies at a rung and at the last one, of all that reached it."""
        done = {n: r[self.value] for n, r in self._rungs[-1].items() if "error" not in r}
        before = [self._rungs[rung][name][self.value] for name in done]
        return np.array(before, dtype=float), np.array(list(done.values()), dtype=float)

    def last(self, arch: str) -> tuple[int, Record]:
        """Return the highest rung with a line on `arch`, and the line."""
        return next((i, r[arch]) for i, r in reversed(list(enumerate(self._rungs))) if arch in r)


def _scores(
    candidates: Candidates, i: int, reached: ShortTrainingResult, metric: str
) -> list[float]:
    """Return the known objectives of one candidate, all to be minimised."""
    if candidates.score is None:
        return [-reached.value]
    accuracy = np.full(len(candidates), reached.value)
    epochs = np.full(len(candidates), float(reached.epochs))
    return [float(v) for v in candidates.score({metric: accuracy, "epochs": epochs})[i]]


def _answers(names: Sequence[str], log: _Log, ends: tuple[int, ...], metric: str) -> Answers:
    """Return the answers for candidates from the log, by the names of their trainings."""
    values, epochs = np.full((2, len(names)), np.nan)
    errors: dict[int, str] = {}
    stopped = set()
    for i, name in enumerate(names):
        rung, record = log.last(name)
        if "error" in record:
            errors[i] = record["error"]
            continue
        values[i], epochs[i] = record[log.value], record["epochs"]
        if rung < len(ends) - 1:
            stopped.add(i)
            before, after = log.gains(rung)
            values[i] = expected(values[i], before=before, after=after)
    metrics = {metric: values, "epochs": epochs}
    return Answers(metrics=metrics, errors=errors, stopped=frozenset(stopped))


def _temporary_folder() -> Place:
    """Return a folder that is removed when this process ends."""
    folder = Path(mkdtemp(prefix="nas-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Place(folder)


def create(  # noqa: PLR0913  # a parameter for every option
    space: Space,
    *,
    data: str = "",
    recipe: str = "auto",
    epochs: int = 9,
    rungs: int = 2,
    eta: int = 3,
    resolution: int = 0,
    batch: int = 0,
    lr: float = 0.0,
    trial_seconds: float = 0.0,
    device: str = "auto",
    seed: int = 0,
    inherit: str = "",
    int8: bool = False,
    out: Place | None = None,
    runner: Runner | None = None,
    detectors: Detectors | None = None,
) -> Proxy:
    """Return the evaluator for one search, of networks of the space or of its `detectors`.

    A full training takes `epochs` epochs of `recipe`; 1/eta of every rung is promoted to one that
    is eta times as long. `resolution` is that of the training images, 0 each architecture's own. A
    candidate that takes more than `trial_seconds` fails. All trainings begin with the same `seed`
    and see the same images in the same order; with `inherit`, the name of a trained network or of
    a supernet (`nas.supernet.inherited`), with what fits of its weights. With `int8`, those that
    are to run in int8 count as they are after post-training quantization. They are kept in the run
    folder `out`, if any.

    Raises:
        NasError: if data are missing or unusable, or an option is out of its range.
    """
    if not data:
        raise NasError("evaluator proxy needs data to train on, as in `data=imagefolder:/path`")
    if resolution:
        check_side(resolution)
    ends = schedule(epochs, rungs=rungs, eta=eta)
    loaded = load_data(data)  # the split of the later training
    out = out or _temporary_folder()
    setup = ShortTrainingSetup(
        data=loaded,
        recipe=fit_recipe(adapt(find_recipe(recipe), epochs=epochs, batch=batch, lr=lr), loaded),
        seed=seed,
        folder=out / FOLDER,
        device=device,
        resolution=resolution,
        seconds=trial_seconds,
        relative=find_relative(inherit) if inherit else None,
        inherit=inherit,
        int8=int8,
    )
    some = space.sample_matrix(np.random.default_rng(0), 1)
    if isinstance(setup.relative, Supernet):
        setup.relative.check_space(space)
    setup.prepared(decode(space, some, detectors.head if detectors else None)[0])
    text = (
        f"proxy:{loaded.fingerprint} {pinned(recipe)} epochs {','.join(map(str, ends))} "
        f"of eta {eta} resolution {resolution} batch {setup.recipe.batch} lr {setup.recipe.lr:g} "
        f"seed {seed}"
    )
    if setup.relative:
        text += f" inherit {fingerprint(setup.relative.weights)}"
    if int8:
        text += " int8"
    log, runner = out.here / FOLDER / LOG, runner or InProcess()
    return Proxy(setup, log, ends=ends, eta=eta, runner=runner, text=text)
