"""Measure whether the driver of a search keeps up with a cluster; prints tables, asserts nothing.

python tests/bench/cluster.py [--workers 16 64 256] [--seconds 1 10] [--threads 32]

The cluster is simulated on this machine: its trials sleep, and `--threads` workers share a process
(1: each has its own). The driver does the same as on a real cluster, except for holding a
connection to every worker: it sends each trial to one worker and waits for it. The share of the
workers' time spent in trials is counted from the beginning of the first trial to the end of the
last.
"""

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import ray  # noqa: TID253  # a benchmark of Ray

from nas import load_accuracy_model, load_space, search
from nas.core import plugins
from nas.core.machine import available_cores, cpu_name
from nas.core.plugins import Plugin
from nas.core.workers.join import Need, connect
from nas.core.workers.runner import Runner
from nas.core.workers.runners import local
from nas.core.workers.runners._pool import Actor, WorkerPool
from nas.core.workers.runners.ray import Ray, create
from nas.searching.evaluate import evaluate
from nas.searching.evaluators import costs
from nas.searching.journal import open_journal
from nas.searching.problem import Candidates, Metrics, Objective, Problem
from nas.searching.session import Session

ROUNDS = {1.0: 10, 10.0: 4}
HISTORY = {"random": 10_000, "evolution": 10_000, "guided": 10_000, "tpe": 1000}
"""The largest history of each strategy; TPE reads all of it for each proposal."""


class Simulated(WorkerPool):
    """Has many workers in few processes, as threads."""

    def __init__(self, *, workers: int, threads: int) -> None:
        """Start the processes."""
        super().__init__(need=Need(cpus=0.001, gpus=0), most=workers, attempts=1)
        kind: Any = ray.remote(num_cpus=0, max_concurrency=threads)(Actor)
        self._nodes = [kind.remote() for _ in range(-(-workers // threads))]
        self._next = cycle(self._nodes)

    def hire(self) -> None:
        """Take the next thread for a worker."""
        self._start(next(self._next))

    def close(self) -> None:
        """End all processes."""
        self.idle, self.starting = [], {}
        for node in self._nodes:
            ray.kill(node)


def sleep(shared: None, seconds: float) -> tuple[float, float]:
    """Sleep, and return when that began and ended."""
    start = time.time()
    time.sleep(seconds)
    return start, time.time()


@contextmanager
def simulated(workers: int, threads: int) -> Iterator[Runner]:
    """Yield a runner whose workers are all ready."""
    pool = Simulated(workers=workers, threads=threads)
    with closing(Ray(pool, mine=False)) as runner:
        while len(pool.idle) < workers:
            list(runner.map(sleep, None, [0.2] * workers))
        yield runner


def busy(workers: int, seconds: float, threads: int) -> None:
    """Print the share of time that workers spend in trials of equal length."""
    count = workers * ROUNDS.get(seconds, 4)
    with simulated(workers, threads) as runner:
        used = time.process_time()
        spans = np.array([span for _, span in runner.map(sleep, None, [seconds] * count)])
        used = time.process_time() - used
    wall = spans[:, 1].max() - spans[:, 0].min()
    share = (spans[:, 1] - spans[:, 0]).sum() / (workers * wall)
    print(f"{workers:7} {seconds:7g} s {count:7,} {share:8.1%} {used / wall:8.1%}"
          f" {1000 * used / count:8.2f} ms")  # fmt: skip


def tiny(workers: int, threads: int, count: int) -> None:
    """Print the driver's cost of very many, very short trials."""
    with simulated(workers, threads) as runner:
        before, used, start = _most_memory(), time.process_time(), time.perf_counter()
        for _ in runner.map(sleep, None, [0.0] * count):
            pass
        wall, used = time.perf_counter() - start, time.process_time() - used
    print(f"{count:,} tiny trials on {workers} workers: {count / wall:,.0f} a second, "
          f"{1000 * used / count:.2f} ms of the driver's processor each; its memory "
          f"{before:.0f} MiB before, at most {_most_memory():.0f} MiB")  # fmt: skip


def _most_memory() -> float:
    """Return the most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def predict(model: Any, rows: Any) -> Any:
    """Return the accuracies of a batch: a cheap evaluator."""
    return model.accuracy(rows)


def batches(rounds: int, size: int) -> None:
    """Print the candidates per second in batches, through Ray and through local."""
    space, model = load_space("mnasnet_b0"), load_accuracy_model("mnasnet_b0")
    count = int(np.clip(500_000 // size, 20, 500))
    tasks = [space.sample_matrix(np.random.default_rng(i), size) for i in range(count)]
    rates = {"local": [], "ray": []}
    with closing(local.create(workers=2)) as ours, closing(create(workers=2)) as rays:
        runners = {"local": ours, "ray": rays}
        for runner in runners.values():
            list(runner.map(predict, model, tasks[:20]))
        for _ in range(rounds):
            for name, runner in runners.items():
                start = time.perf_counter()
                list(runner.map(predict, model, tasks))
                rates[name].append(len(tasks) * size / (time.perf_counter() - start))
    ratio = np.median(np.array(rates["ray"]) / np.array(rates["local"]))
    print(f"batches of {size:6,}: local {np.median(rates['local']):10,.0f} candidates a second, "
          f"ray {np.median(rates['ray']):10,.0f}, ratio {ratio:.2f}")  # fmt: skip


class Trained:
    """Claims to train for a minute each, so that strategies behave accordingly."""

    provides, seconds, note = ("top1",), 60.0, ""

    def __call__(self, candidates: Candidates) -> Metrics:
        weights = np.linspace(0.1, 1.0, candidates.picks.shape[1])
        return {"top1": 1 - 1 / (2 + candidates.picks @ weights)}

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}

    def __str__(self) -> str:
        return "trained"


def history(strategy: str, sizes: Sequence[int], asks: int = 30) -> None:
    """Print the seconds of an ask for one trial and a tell, after many trials."""
    space = load_space("mnasnet_b0")
    problem = Problem(
        space=space,
        evaluators=(costs.create(space), Trained()),
        objectives=(Objective.parse("max:top1"), Objective.parse("min:macs")),
    )
    with TemporaryDirectory() as folder, closing(open_journal(Path(folder) / "j")) as journal:
        made = plugins.create("strategies", Plugin.parse(strategy), problem, seed=0)
        session = Session(problem, made, journal, header={})
        for size in sizes:
            while len(session) < size - asks:
                session.step(min(made.batch, size - asks - len(session)))
            times = np.array([_ask_and_tell(session) for _ in range(asks)])
            ask, tell = 1000 * np.median(times, axis=0)
            worst = 1000 * times[:, 0].max()
            print(f"{strategy:10} {size:7,} {ask:9.1f} ms {worst:9.1f} ms {tell:9.1f} ms")


def _ask_and_tell(session: Session) -> tuple[float, float]:
    start = time.perf_counter()
    numbers = session.ask(1)
    asked = time.perf_counter()
    picks = np.stack([session.waiting[number] for number in numbers])
    trials = evaluate(session.problem, picks)
    told = time.perf_counter()
    session.tell(numbers, trials)
    return asked - start, time.perf_counter() - told


def searches(rounds: int, strategy: str) -> None:
    """Print the speed of whole searches with a cheap evaluator, through Ray and through local."""
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    for _ in range(rounds):
        for runner, found in rates.items():
            run = search(runner=runner, workers=2, strategy=strategy, trials=10_000)
            found.append(run.new / run.seconds)
    ratio = np.median(np.array(rates["ray"]) / np.array(rates["local"]))
    print(f"search, {strategy:8}: local {np.median(rates['local']):10,.0f} candidates a second, "
          f"ray {np.median(rates['ray']):10,.0f}, ratio {ratio:.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[16, 64, 256])
    parser.add_argument("--seconds", type=float, nargs="*", default=[1.0, 10.0])
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--tiny", type=int, default=10_000)
    parser.add_argument("--history", type=json.loads, default=HISTORY, help="as in '{}'")
    parser.add_argument("--rounds", type=int, default=7, help="of batches; 0 leaves them out")
    asked = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {cpu_name()}, {available_cores()} cores (load "
          f"{os.getloadavg()[0]:.1f}), Ray {ray.__version__}, Python "
          f"{platform.python_version()}, {asked.threads} workers in a process")  # fmt: skip
    print("strategy    trials     an ask      longest       a tell")
    for strategy, most in asked.history.items():
        history(strategy, [size for size in (100, 1000, 10_000) if size <= most])
    connect("", Need(cpus=1, gpus=0), workers=2, environment="")
    try:
        print("workers    trial  trials     busy   driver   a trial")
        for seconds in asked.seconds:
            for workers in asked.workers:
                busy(workers, seconds, asked.threads)
        if asked.tiny:
            tiny(max(asked.workers, default=16), asked.threads, asked.tiny)
        for size in (100, 1000, 10_000, 50_000) if asked.rounds else ():
            batches(asked.rounds, size)
        for strategy in ("archive", "random") if asked.rounds else ():
            searches(asked.rounds, strategy)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
