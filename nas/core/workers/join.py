"""Join a Ray cluster or start one on this machine, and check at once that tasks fit there."""

import math
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, services
from ray._private import worker as worker_module
from ray.exceptions import RayError

from nas.core.data import read_foreign
from nas.core.errors import BadValue, NasError
from nas.core.interrupts import delay_interrupts
from nas.core.machine import available_cores

_ADDRESS = "RAY_ADDRESS"
_START = "start one with: ray start --head"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SECONDS_TO_CONNECT = 5.0


class NoCluster(NasError):
    """A Ray cluster that does not exist, or cannot be used from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The resources of a node that one task takes: CPUs and GPUs, which may be fractions."""

    cpus: float
    gpus: float

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            BadValue: if a number is negative or NaN, or both are 0.
        """
        for name in ("cpus", "gpus"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise BadValue(f"{name} of a task must be 0 or more, not {value:g}", name)
        if not self.cpus + self.gpus:
            raise BadValue("a task must need a part of a CPU or a GPU, not 0 of both", "cpus")

    def __str__(self) -> str:
        """Return "1 CPU and 0.25 GPU"."""
        return f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")

    def times_in(self, resources: Mapping[str, float]) -> int:
        """Return how many such tasks fit on a node that has these resources."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        fits = [resources.get(name, 0) / amount for name, amount in wanted.items() if amount]
        return int(min(fits) + 1e-9)


def connect(address: str, need: Need, *, workers: int, environment: str) -> bool:
    """Connect to the cluster at `address`, and return whether the caller must disconnect.

    Without `address`, use the cluster in RAY_ADDRESS (set in jobs of `ray job submit`), or else
    start a new one for `workers` tasks, reachable from this machine only. If this process is
    already connected to a cluster, use that.

    Raises:
        NoCluster: if there is none, if it refuses, or if no node has what a task needs.
        BadFile: if `environment`, a YAML file in the format of `ray job submit`, cannot be read.
    """
    if ray.is_initialized():
        check_fits(need)
        return False
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if environment:
        settings["runtime_env"] = dict(read_foreign(Path(environment)))
    try:
        with delay_interrupts():  # an interrupt would crash Ray
            if address or os.environ.get(_ADDRESS):
                _join(address, settings)
            else:
                _start(need, workers, settings)
        worker_module._worker_logs_enabled = False  # Ray would print them on stdout
        check_fits(need)
    except BaseException:
        ray.shutdown()
        raise
    return True


def _start(need: Need, workers: int, settings: dict[str, Any]) -> None:
    """Start Ray on this machine; it ends with this process."""
    cores = math.ceil(workers * need.cpus) if workers else available_cores()
    with _on_loopback(), _explained("Ray on this machine"):
        ray.init("local", num_cpus=cores, include_dashboard=False, **settings)


def _join(address: str, settings: dict[str, Any]) -> None:
    """Connect to the cluster at an address: "auto", "host:port" or "ray://host:port"."""
    place = _resolved(address)
    host = _check_answers(place)
    patience = _variable("RAY_gcs_server_port_wait_time_s", f"{_SECONDS_TO_CONNECT:.0f}")
    with _on_loopback(host in _LOOPBACK), patience, _explained(place), _silenced():
        ray.init(address or "auto", **settings)  # by "auto" Ray knows where to look for a token


def _resolved(address: str) -> str:
    """Return the address that "auto" or nothing means."""
    if address not in ("", "auto"):
        return address
    try:
        return str(services.get_ray_address_from_environment("auto", None))
    except ConnectionError:
        raise NoCluster(f"there is no Ray cluster on this machine to join; {_START}") from None


def _check_answers(place: str) -> str:
    """Return the host of an address that answers; Ray itself would try for a minute."""
    host, _, port = place.removeprefix("ray://").rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit():
        raise NoCluster(f"address {place!r}: expected auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise NoCluster(f"no Ray cluster answers at {place} ({error}); {_START}") from None
    return host


@contextmanager
def _on_loopback(wanted: bool = True) -> Iterator[None]:
    """Keep Ray from replacing 127.0.0.1 by an address that others can reach.

    Ray reads the variable at its first import, here and in the processes it starts.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = before and not wanted
    try:
        with _variable(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "0" if wanted else None):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable inside the block, unless it is already set."""
    if value is None or name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep Ray's core from writing to the terminal at every attempt to connect."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Turn Ray's errors while connecting into one line."""
    try:
        yield
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise NoCluster(_reason(place, f"{error}\n{error.__cause__ or ''}")) from error


def _reason(place: str, text: str) -> str:
    if "Version mismatch" in text:
        found = [line.strip() for line in text.splitlines() if line.startswith("    ")]
        there, here = ", ".join(found[:2]), ", ".join(found[2:4])
        return f"{place} runs {there}, but here is {here}; install the same versions on both"
    if "authenticat" in text.lower():
        return (
            f"{place} expects another token than the one found here; copy its ~/.ray/auth_token "
            "here, or set RAY_AUTH_TOKEN to it, and set RAY_AUTH_MODE=token"
        )
    if "client connection timeout" in text:
        return (
            f"{place} accepts no Ray client; is this its --ray-client-server-port, and are "
            "the tokens equal (~/.ray/auth_token here and there, and RAY_AUTH_MODE=token)?"
        )
    return f"cannot connect to {place}: {' '.join(text.split())[:300]}"


def slots(need: Need) -> int:
    """Return how many tasks fit on the present nodes."""
    return sum(need.times_in(resources) for resources in _nodes())


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def check_fits(need: Need) -> None:
    """Check that a task fits on some node, or on one that the cluster may add.

    Raises:
        NoCluster: if none does; it names the largest.
    """
    if slots(need) or can_add(need):
        return
    largest = max(_nodes(), key=lambda r: (r.get("GPU", 0), r.get("CPU", 0)), default={})
    raise NoCluster(
        f"a task needs {need}, more than any node has; the largest has "
        f"{largest.get('CPU', 0):g} CPU and {largest.get('GPU', 0):g} GPU; reduce what a task needs"
    )


def can_add(need: Need) -> bool:
    """Return whether the cluster may add a node on which a task fits."""
    return any(need.times_in(resources) for resources in _addable())


def _addable() -> list[dict[str, float]]:
    """Return the resources of every type of node that an autoscaler may add."""
    # the configuration of the cluster cannot be read through ray://
    if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
        return []
    config = ray._private.state.state.get_cluster_config()
    groups = config.node_group_configs if config else ()
    return [dict(group.resources) for group in groups if group.max_count]
