"""Train a network, or a supernet, with several workers of a Ray cluster, by Ray Train.

Every worker holds the network and takes its share of every batch (`nas.training.process_group`).
Rank 0 keeps the training folder, as a training in one process does, so that either resumes what
the other left.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import ray
import ray.train.collective
import torch
from fsspec.core import url_to_fs
from ray import train as ray_train
from ray.exceptions import RayError
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import distributed

from nas.core.errors import BadValue, NasError, RunError, typed_line
from nas.core.files import read_bytes
from nas.core.plugins import folders
from nas.core.progress import Report
from nas.core.run_folder import SUPERNET, TRAINING, holds
from nas.core.storage import Place, is_url
from nas.core.workers.join import Need, can_add, connect, slots
from nas.training.folder import METRICS
from nas.training.job import TrainingJob
from nas.training.process_group import ProcessGroup
from nas.training.run import Trained, is_finished, run_loop, run_training
from nas.training.task import check_batch

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 60.0
_SCRATCH = ".ray"
"""What Ray Train keeps of a run, in the training folder; gone when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The workers that train: how many, what each needs, and the `address` of their cluster.

    Where some are lost, all begin again from the last checkpoint, until `attempts` in a row have
    not finished an epoch.
    """

    count: int
    need: Need
    address: str = ""
    attempts: int = 3

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value in (("workers", self.count), ("attempts", self.attempts)):
            if value < 1:
                raise BadValue(f"{name} must be 1 or more, not {value}", name)
        if self.need.gpus % 1:
            raise BadValue(f"a worker needs whole GPUs or none, not {self.need.gpus:g}", "gpus")


def train_distributed(job: TrainingJob, out: Place, workers: Workers) -> Trained:
    """Train as `nas.training.run.run_training` does, with all `workers`, and return the result.

    `out` must be a folder that this process and the workers share, or at a URL.

    Raises:
        KeyboardInterrupt: on Ctrl-C; the same call resumes from the last checkpoint.
        NasError: as `train` does; if there is no such cluster, or it has too little; if workers
            are lost again and again.
    """
    distribute(job, out, workers)
    with out.open() as folder:
        options = replace(job.options, device="cpu", report=None)
        return run_training(replace(job, options=options), folder)


def distribute(job: TrainingJob, out: Place, workers: Workers) -> None:
    """Do all epochs of a planned training with all `workers`, and leave them in `out`.

    Raises:
        KeyboardInterrupt, NasError: as `train_distributed` does.
    """
    _check_shares(job, workers)
    with out.open() as folder:
        finished = is_finished(job, folder)
    if not finished:
        _run(job, out, workers)
    with out.open() as folder:
        if not is_finished(job, folder):
            raise RunError(f"the workers ended, but the training in {out} is not at its end")


def _check_shares(job: TrainingJob, workers: Workers) -> None:
    """Check that every batch has an equal share for every worker."""
    batch, images = job.recipe.batch, len(job.data.train)
    if batch % workers.count:
        raise NasError(
            f"{workers.count} workers cannot share batches of {batch} images equally; "
            f"give `batch={-(-batch // workers.count) * workers.count}`"
        )
    check_batch(job.arch, batch // workers.count)
    if batch > images:
        raise NasError(
            f"{job.data.name} has {images} training images, too few for one batch of {batch}; "
            "give a smaller `batch`"
        )
    if job.options.seconds or job.options.until:
        raise NasError("several workers train to the end, not to an epoch or for some seconds")


def _run(job: TrainingJob, out: Place, workers: Workers) -> None:
    """Train to the end, and begin again from the last checkpoint where workers are lost."""
    mine = connect(workers.address, workers.need, workers=workers.count, environment="")
    try:
        _check_room(workers)
        losses, epochs = 0, _epochs(out)
        while failures := _once(job, out, workers, report=job.options.report):
            before, epochs = epochs, _epochs(out)
            losses = 1 if epochs > before else losses + 1
            line = typed_line(failures[0])
            if losses == workers.attempts:
                raise NasError(f"workers were lost {losses} times without an epoch done: {line}")
            logger.warning("lost workers (%s); all begin again from the last checkpoint", line)
    finally:
        if mine:
            ray.shutdown()
        _clear(out)


def _epochs(out: Place) -> int:
    """Return how many epochs are done."""
    with out.reading(METRICS) as folder:
        path = folder / METRICS
        return read_bytes(path).count(b'"epoch"') if path.is_file() else 0


def _check_room(workers: Workers) -> None:
    """Check that the nodes of the cluster, or those it may add, have room for all."""
    room = slots(workers.need)
    if room < workers.count and not can_add(workers.need):
        raise NasError(
            f"the cluster has room for {room} workers with {workers.need} each, not for "
            f"{workers.count}; give less to each, or take fewer"
        )


def _once(
    job: TrainingJob, out: Place, workers: Workers, *, report: Report | None
) -> list[BaseException]:
    """Train until workers are lost; return their failures, none at the end.

    Raises:
        NasError: if a worker says what is wrong.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    options = replace(
        job.options,
        report=None,
        teacher=_reachable(job.options.teacher),
        device=job.options.device if workers.need.gpus else "cpu",
    )
    job = replace(job, options=options)
    trainer = _trainer(ray.put(job), queue, out, workers)
    try:
        failures = _followed(trainer, queue, report)
    finally:
        queue.shutdown(force=True)  # workers that still train cannot report any more, and end
    for failure in failures:
        if isinstance(failure, NasError):
            raise failure
    for failure in failures:
        if not _is_loss(failure):
            raise NasError(f"a worker failed: {typed_line(failure)}") from failure
    return failures


def _is_loss(failure: BaseException) -> bool:
    """Tell whether a worker was lost, or saw another lost; what else fails fails every time."""
    return isinstance(failure, RuntimeError) or type(failure).__module__.startswith("ray.")


def _reachable(teacher: str) -> str:
    """Return the name of a teacher for processes that run in another folder."""
    return teacher if not teacher or is_url(teacher) else os.path.abspath(teacher)


def _trainer(job: Any, queue: Queue, out: Place, workers: Workers) -> TorchTrainer:
    resources = {"CPU": workers.need.cpus, "GPU": workers.need.gpus}
    return TorchTrainer(
        _work,
        train_loop_config={
            "folders": folders(),
            "job": job,
            "queue": queue,
            "out": out.resolved(),
        },
        torch_config=_OwnGroup(),
        scaling_config=ray_train.ScalingConfig(
            num_workers=workers.count,
            use_gpu=workers.need.gpus > 0,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray_train.RunConfig(name=_SCRATCH, **_storage(out)),
    )


def _storage(out: Place) -> dict[str, Any]:
    """Return where Ray Train keeps what it must."""
    if isinstance(out.kept, Path):
        return {"storage_path": str(out.kept.resolve())}
    from pyarrow.fs import FSSpecHandler, PyFileSystem  # Ray Train needs it, too

    system, root = url_to_fs(out.kept)
    return {"storage_path": root, "storage_filesystem": PyFileSystem(FSSpecHandler(system))}


def _clear(out: Place) -> None:
    """Remove what Ray Train kept."""
    system, root = url_to_fs(str(out))
    with suppress(Exception):  # file systems have errors of their own; what is left is of no use
        system.rm(f"{root}/{_SCRATCH}", recursive=True)


def _followed(trainer: TorchTrainer, queue: Queue, report: Report | None) -> list[BaseException]:
    """Let `trainer` train, report its progress, and return what went wrong.

    It runs in a thread, since Ray Train would handle Ctrl-C itself in the main one. A warning says
    where workers do not begin for a while: the cluster may be busy, or have lost a node.
    """
    failures: list[BaseException] = []
    silent_since = time.monotonic()
    thread = Thread(target=_fit, args=(trainer, failures), daemon=True)
    thread.start()
    while thread.is_alive():
        try:
            told = queue.get(timeout=1.0)
        except Empty:
            if time.monotonic() - silent_since > _TIMEOUT_SECONDS:
                silent_since = time.monotonic()
                logger.warning("the workers do not answer; does the cluster have room for all?")
            continue
        except RayError as error:  # the queue is lost, which ends the workers, too
            thread.join()
            return failures or [error]
        silent_since = time.monotonic()
        if report:
            report(*told)
    return failures


def _fit(trainer: TorchTrainer, failures: list[BaseException]) -> None:
    try:
        trainer.fit()
    except ray_train.WorkerGroupError as error:
        ranks = sorted(error.worker_failures)
        failures.extend(error.worker_failures[rank] for rank in ranks)
    except BaseException as error:  # it must not be lost with its thread
        failures.append(error)


class _OwnGroup(TorchConfig):
    """Leaves the process group to the workers: Ray's would listen on all addresses."""

    @property
    def backend_cls(self) -> type[Backend]:
        return Backend


def _work(settings: Mapping[str, Any]) -> None:
    """Train in one worker."""
    context = ray_train.get_context()
    group = ProcessGroup(rank=context.get_world_rank(), size=context.get_world_size())
    queue: Queue = settings["queue"]
    job: TrainingJob = ray.get(settings["job"])
    out: Place = settings["out"]
    first = group.rank == 0
    report = (lambda *told: queue.put(told)) if first else None
    job = replace(job, options=replace(job.options, group=group, report=report))
    try:
        with _joined(group), out.open(retry=True) if first else nullcontext() as folder:
            if folder and not holds(folder, SUPERNET if job.shared else TRAINING):
                raise NasError(f"{out} is not shared with the workers; give an `out` that is")
            run_loop(job, folder)
    except NasError as error:
        raise NasError(str(error)) from None  # subclasses may not be picklable


@contextmanager
def _joined(group: ProcessGroup) -> Iterator[None]:
    """Join torch's process group, on this node's own address only."""
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    listener = socket.create_server((address, 0)) if group.rank == 0 else None
    place = (address, listener.getsockname()[1]) if listener else None
    host, port = ray.train.collective.broadcast_from_rank_zero(place)
    store = distributed.TCPStore(  # type: ignore[attr-defined]  # torch does export it
        host,
        port,
        group.size,
        is_master=listener is not None,
        master_listen_fd=listener.detach() if listener else None,
        wait_for_workers=False,
    )
    _keep_to(address)
    kinds = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(kinds, store=store, rank=group.rank, world_size=group.size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _keep_to(address: str) -> None:
    """Let gloo and NCCL use the interface that has `address`, unless the user chose one."""
    import psutil  # Ray brings it along, where Python finds it once Ray is imported

    for name, found in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in found):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
