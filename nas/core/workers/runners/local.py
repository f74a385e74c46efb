"""Processes on this machine; one that dies or hangs fails its own task and no other."""

import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing.connection import wait as wait_for
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from nas.core import plugins
from nas.core.errors import NasError, RunError, typed_line
from nas.core.interrupts import block_sigint, delay_interrupts
from nas.core.machine import available_cores
from nas.core.workers.runner import WAIT, Failure, Work, attempt
from nas.core.workers.runners._sending import check_picklable

if TYPE_CHECKING:
    from pebble import ProcessPool

_HEAVY = ("torch", "torch._dynamo")
"""Loaded once for all workers if torch is used; creating an optimizer imports the second."""

_GUARD = re.compile(rb"__name__\s*[!=]=|[!=]=\s*__name__")
"""Matches how a script checks whether it is the main program."""

_given: Any = None
"""In a worker: the shared object."""


class Local:
    """Keeps a pool of worker processes for as long as the tasks share the same object."""

    def __init__(self, *, workers: int) -> None:
        """Start no process yet."""
        self.workers = workers
        self._pool: ProcessPool | None = None
        self._shared: Any = None

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number and the result or `Failure` of every task, as they finish."""
        pool, left_over, count = self._pool_for(shared), iter(tasks), 0
        running: dict[Future[Any], tuple[int, Any]] = {}
        try:
            while True:
                for task in left_over:
                    if task is WAIT:
                        break
                    with delay_interrupts():  # else a reader of its queue might never be woken
                        future = pool.schedule(_run, (work, task), timeout=seconds or None)
                    running[future], count = (count, task), count + 1
                    if len(running) >= self.workers:
                        break
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    number, task = running.pop(done)
                    yield number, _outcome(done, seconds, (work, task))
        finally:
            for left in running:
                left.cancel()

    def _pool_for(self, shared: Any) -> "ProcessPool":
        from pebble import ProcessPool  # imported lazily, since it takes 80 ms

        if self._pool is None or self._shared is not shared:
            self.close()
            _check_main()
            check_picklable(shared, ForkingPickler.dumps, name="what all tasks share")
            threads = max(1, available_cores() // self.workers)
            self._pool = ProcessPool(
                max_workers=self.workers,
                initializer=_begin,
                initargs=(plugins.folders(), shared, threads),  # in this order
                context=_context(),
            )
            self._shared = shared
        return self._pool

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]  # pebble's
            self._pool.join()
            self._pool = self._shared = None


def _check_main() -> None:
    """Reject a script that every worker, which imports it to know its names, would run again.

    Raises:
        RunError: if the script never compares `__name__`.
    """
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None or not os.path.isfile(path):
        return  # a notebook or an interactive session
    with open(path, "rb") as script:
        guarded = _GUARD.search(script.read())
        if not guarded and not path.endswith("__main__.py"):
            raise RunError(  # this ends the search; another error would fail trials only
                f"several workers would each run {path} again; put what it does under "
                '`if __name__ == "__main__":`, or take `workers=1`'
            )


@lru_cache(maxsize=1)
def _context() -> Any:
    """Return the context to start processes: a fork server that has torch loaded, if possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker  # not on Windows

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["nas.core.workers.runners.local", "pebble", *(_HEAVY if _uses_torch() else [])]
    )
    resource_tracker.ensure_running()  # the fork server would start it, which ends `block_sigint`
    with block_sigint():  # the fork server would print a traceback on Ctrl-C while it starts
        forkserver.ensure_running()
    return context


def _uses_torch() -> bool:
    return "torch" in sys.modules


def _begin(folders: plugins.Folders, shared: Any, threads: int) -> None:
    """Prepare a worker: it ends with its parent, and leaves Ctrl-C to the parent.

    `folders` comes before `shared`, since unpickling it makes plugin packages importable.
    """
    global _given
    _given = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if _uses_torch():
        import torch

        torch.set_num_threads(threads)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _run(work: Work, task: Any) -> Any:
    return attempt(work, _given, task)


def _outcome(future: Future[Any], seconds: float, sent: tuple[Any, ...]) -> Any:
    """Return the result of a future, or its failure.

    Raises:
        NasError: if `sent` cannot be pickled, or no worker can start.
    """
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        return Failure(f"took more than {seconds:g} s")
    except ProcessExpired as error:
        return Failure(_death(error.exitcode))
    except BrokenProcessPool:
        raise NasError(
            "workers ended before they started; their task must be importable there, too"
        ) from None
    except Exception as error:  # a __reduce__ may raise anything
        for thing in sent:
            check_picklable(thing, ForkingPickler.dumps, name="a task")
        return Failure(typed_line(error))


def _death(code: int | None) -> str:
    """Return why a worker died, by its exit code."""
    if code == -signal.SIGKILL:
        return "the process was killed by the system, most likely out of memory"
    name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return f"the process died ({name})"


def create(*, workers: int = 0) -> Local:
    """Return the runner with this number of workers; 0 means one per core."""
    return Local(workers=workers or available_cores())
