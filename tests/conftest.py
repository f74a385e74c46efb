"""Fixtures that several test files share: a tiny space, an evaluator that obeys, the CLI."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from nas.cli import main
from nas.core import deprecation
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import Candidates, Constraint, Metrics, Objective, Problem
from nas.space.file import load_space
from nas.space.space import Space

DATA = Path(__file__).parent / "data"
sys.path.append(str(DATA.parents[1]))  # for the experiments; `nas` is the installed one
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with long tests first, so that no process ends with one of them alone."""
    long = {item.path for item in items if any(map(item.get_closest_marker, ("cluster", "torch")))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    """Restore the cores that a measurement took from the process."""
    yield
    if CORES is not None:
        os.sched_setaffinity(0, CORES)


@pytest.fixture(autouse=True)
def nothing_warned_of() -> None:
    """Let every test see the deprecated names that it uses."""
    deprecation.forget()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, since the last bits of results depend on the number."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit accuracy models less closely, where that is not under test."""
    for name, value in (("_LABELS", 6_000), ("_STEPS", 400), ("_ATTEMPTS", 1)):
        monkeypatch.setattr(f"nas.accuracy.learn.{name}", value)
    monkeypatch.setattr("nas.accuracy.gaussian._STEPS", 30)


@dataclass(kw_only=True)
class Fake:
    """Returns a made-up accuracy, and records the number of candidates of every call.

    It raises for rows whose first pick is `broken`, and returns NaN where it is `empty`.
    """

    provides: tuple[str, ...] = ("top1",)
    seconds: float = 1.0
    note: str = "made up"
    broken: int | None = None
    empty: int | None = None
    calls: list[int] = field(default_factory=list)

    def __call__(self, candidates: Candidates) -> Metrics:
        self.calls.append(len(candidates))
        first = candidates.picks[:, 0]
        if self.broken is not None and (first == self.broken).any():
            raise RuntimeError("out of order")
        weights = 1 + np.arange(candidates.picks.shape[1])
        values = 1 - 1 / (2 + candidates.picks @ weights / 100)
        if self.empty is not None:
            values[first == self.empty] = np.nan
        return dict.fromkeys(self.provides, values)

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}

    def __str__(self) -> str:
        return "fake"


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture(scope="session")
def tiny() -> Space:
    return load_space(DATA / "tiny.yaml")


@pytest.fixture(scope="session")
def all_rows(tiny: Space) -> np.ndarray:
    """Return every row of the tiny space, once."""
    grid = np.indices(tuple(tiny.widths), dtype=np.uint8).reshape(len(tiny.widths), -1).T
    return np.unique(tiny.canonical(grid), axis=0)


@pytest.fixture
def problem(tiny: Space, fake: Fake) -> Problem:
    return make_problem(tiny, fake)


@pytest.fixture
def with_constraints(tiny: Space, fake: Fake) -> Callable[..., Problem]:
    return lambda *limits: make_problem(tiny, fake, limits)


def make_problem(space: Space, fake: Fake, limits: Sequence[str] = ()) -> Problem:
    return Problem(
        space=space,
        evaluators=(create_costs(space), fake),
        objectives=(Objective.parse("top1"), Objective.parse("macs")),
        limits=tuple(Constraint.parse(text) for text in limits),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def nas(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Reply]:
    """Return a function that runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(DATA))

    def run(*words: str) -> Reply:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["nas", *words])
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        return Reply(code=int(left.value.code or 0), out=printed.out, err=printed.err)

    return run


@pytest.fixture
def fakes_path(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the dotted path `fakes.plain` importable, and return its parent folder."""
    monkeypatch.syspath_prepend(str(DATA))
    return DATA
