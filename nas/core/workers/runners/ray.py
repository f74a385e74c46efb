"""Workers of a Ray cluster, on one machine or many; tasks of lost workers are repeated."""

from collections.abc import Iterable, Iterator
from typing import Any

import ray

from nas.core.errors import BadValue
from nas.core.plugins import check_allowed
from nas.core.workers.join import Need, connect
from nas.core.workers.runner import Work
from nas.core.workers.runners._pool import TaskQueue, WorkerPool


class Ray:
    """Keeps a worker for each concurrent task until it is closed.

    Workers are actors: sending one a task takes a third of the time of a Ray task, and they keep
    torch, the GPU and the shared object from one task to the next.
    """

    def __init__(self, pool: WorkerPool, *, mine: bool) -> None:
        """Use a pool of workers; with `mine`, leave its cluster at the end."""
        self._pool, self._mine = pool, mine

    @property
    def workers(self) -> int:
        """The number of concurrent tasks: as configured, or as many as the present nodes allow."""
        return self._pool.size

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number and the result or `Failure` of every task, as they finish.

        A task whose worker or node is lost is repeated by another, a few times. The time limit of a
        task runs from when a worker that is ready for it gets it, not from when it is drawn.

        Raises:
            NasError: if something cannot be sent to the workers, or they cannot start.
        """
        self._pool.share(work, shared)
        batch = TaskQueue(pool=self._pool, seconds=seconds)
        try:
            yield from batch.outcomes(iter(tasks))
        finally:
            batch.end()

    def close(self) -> None:
        """End all workers, and leave the cluster; one that was started here ends too."""
        self._pool.close()
        if self._mine:
            ray.shutdown()


def create(
    *,
    workers: int = 0,
    address: str = "",
    cpus: float = 1.0,
    gpus: float = 0.0,
    attempts: int = 3,
    environment: str = "",
) -> Ray:
    """Return the runner on the Ray cluster at `address`: "auto", "host:port", "ray://host:port".

    Without an address, use the cluster in RAY_ADDRESS, or else start one on this machine. At most
    `workers` tasks run at a time (0: as many as the nodes allow, updated as nodes come and go),
    each with `cpus` CPUs and `gpus` GPUs, which may be fractions. A task fails after the loss of
    `attempts` workers. `environment` is a YAML file with the runtime environment of the workers,
    for clusters where nas is not installed.

    Raises:
        NasError: if there is no such cluster, it refuses, or no node has what a task needs.
    """
    if address not in ("", "auto", "local"):
        check_allowed(address, f"runner ray would connect to {address} (which can run code here)")
    if environment:
        check_allowed(environment, f"runner ray would install what {environment} lists")
    if workers < 0:
        raise BadValue(f"workers must be 0 or more, not {workers}", "workers")
    if attempts < 1:
        raise BadValue(f"attempts must be 1 or more, not {attempts}", "attempts")
    need = Need(cpus=cpus, gpus=gpus)
    mine = connect(address, need, workers=workers, environment=environment)
    return Ray(WorkerPool(need=need, most=workers, attempts=attempts), mine=mine)
