"""Measure the speed of the parts of a search; prints figures and ratios, asserts nothing.

python tests/bench/bench.py [--seconds 1.0]

Rates are medians over repetitions in one process with one thread of linear algebra; ratios compare
two implementations in the same run, so they hold on a noisy machine.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from nas import load_accuracy_model, load_space, load_table, search
from nas.searching.config import SearchConfig
from nas.searching.evaluate import evaluate
from nas.searching.journal import open_journal
from nas.searching.session import Session
from nas.searching.setup import prepare

ROWS = 20_000


def rate(call: Callable[[], object], count: int, seconds: float) -> float:
    """Return the median rate, per second, at which `call` does `count` things."""
    times, end = [], time.perf_counter() + seconds
    call()
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return count / median(times)


def predictions(space_name: str, seconds: float) -> None:
    space, table = load_space(space_name), load_table("pixel1")
    model = load_accuracy_model(space_name)
    rows = space.sample_matrix(np.random.default_rng(0), ROWS)
    archs = [space.decode_row(row) for row in rows[:100]]
    latency = table.over(space)
    fast = rate(lambda: latency(rows), ROWS, seconds)
    slow = rate(lambda: [table.predict(arch) for arch in archs], len(archs), seconds)
    print(f"{space_name}: latency predictions      {fast:12,.0f} a second "
          f"({fast / slow:,.0f} times one by one: {slow:,.0f})")  # fmt: skip
    fast = rate(lambda: model.accuracy(rows), ROWS, seconds)
    both = rate(lambda: model.predict_matrix(rows), ROWS, seconds)
    slow = rate(lambda: model.predict(archs), len(archs), seconds)
    print(f"{space_name}: accuracy predictions     {fast:12,.0f} a second ({both:,.0f} with "
          f"deviations; {fast / slow:,.0f} times one by one: {slow:,.0f})")  # fmt: skip


def loops(space_name: str) -> None:
    for strategy in ("archive", "random"):
        for out in (False, True):
            with TemporaryDirectory() as folder:
                runs = [
                    search(space=space_name, strategy=strategy, seed=seed,
                           out=Path(folder) / str(seed) if out else None)
                    for seed in range(5)
                ]  # fmt: skip
            each = median(len(run.trials) / run.seconds for run in runs)
            where = "with a journal" if out else "in memory"
            print(f"{space_name}: loop of {strategy:8} {where:14} {each:10,.0f} a second")


class Timed:
    """Passes everything on to `inner`, and adds up the processor time of calls to some methods."""

    def __init__(self, inner: Any, *names: str) -> None:
        self._inner, self._names, self.seconds = inner, names, 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._timed(found) if name in self._names else found

    def __call__(self, *values: Any) -> Any:
        return self._timed(self._inner)(*values)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            start = time.process_time()
            try:
                return function(*values)
            finally:
                self.seconds += time.process_time() - start

        return call


def shares(space_name: str, trials: int = 10_000) -> None:
    """Print where the processor time of a search with a journal goes."""
    setup = prepare(SearchConfig(space=space_name, seed_arch=()))
    evaluators = [Timed(evaluator) for evaluator in setup.problem.evaluators]
    problem = replace(setup.problem, evaluators=tuple(evaluators))
    with TemporaryDirectory() as folder:
        journal = Timed(open_journal(Path(folder) / "journal.jsonl"), "append")
        strategy = Timed(setup.strategy(), "ask", "tell")
        session = Session(problem, strategy, journal, header={})
        start = time.process_time()
        while len(session) < trials:
            session.step(min(strategy.batch, trials - len(session)))
        whole = time.process_time() - start
        journal.close()
    names = [str(evaluator).split(":")[0] for evaluator in setup.problem.evaluators]
    parts = {name: evaluator.seconds for name, evaluator in zip(names, evaluators, strict=True)}
    parts |= {"strategy": strategy.seconds, "journal": journal.seconds}
    text = ", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in parts.items())
    print(f"{space_name}: {trials:,} candidates in {whole:.2f} CPU s: {text}; "
          "the strategy asks free evaluators too")  # fmt: skip


def asks(space_name: str) -> None:
    """Print the processor time that `guided` takes for a proposal after many random trials."""
    setup = prepare(SearchConfig(space=space_name, strategy="guided", seed_arch=()))
    for trials in (100, 1_000, 10_000):
        strategy, times = setup.strategy(), []
        rows = setup.space.sample_matrix(np.random.default_rng(0), trials)
        for _ in range(9):
            strategy.tell(evaluate(setup.problem, rows))
            start = time.process_time()
            rows = strategy.ask(20)
            times.append(time.process_time() - start)
        print(f"{space_name}: ask of guided after {trials:6,} trials "
              f"{1000 * median(times):6.0f} ms of CPU, least {1000 * min(times):.0f}")  # fmt: skip


def process(space_name: str) -> None:
    """Time whole processes, one core, and read the peak memory of a long search."""
    for trials in (100, 10_000, 100_000):
        with TemporaryDirectory() as folder:
            arguments = ["search", "--space", space_name, "--trials", str(trials), "--no-plot",
                         "--out", f"{folder}/run"]  # fmt: skip
            code = (
                "import sys, time, resource; start = time.perf_counter(); "
                f"sys.argv[1:] = {arguments!r}; from nas.cli import main\n"
                "try: main()\nexcept SystemExit: pass\n"
                "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
                "print(f'{peak:.0f}', file=sys.stderr)"
            )
            start = time.perf_counter()
            pipe = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True)  # fmt: skip
            first = time.perf_counter()
            assert pipe.stdout is not None
            pipe.stdout.readline()
            first = time.perf_counter() - start
            _, errors = pipe.communicate()
            whole = time.perf_counter() - start
        print(f"{space_name}: {trials:7,} candidates: printed front after {first:5.2f} s, "
              f"process {whole:5.2f} s, peak memory {errors.split()[-1]} MiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each rate")
    seconds = parser.parse_args().seconds
    for space_name in ("mnasnet_b0", "mobilenetv3"):
        predictions(space_name, seconds)
    for space_name in ("mbconv", "mobilenetv3"):
        shares(space_name)
        asks(space_name)
        loops(space_name)
        process(space_name)


if __name__ == "__main__":
    main()
