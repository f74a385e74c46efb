"""The workers that share a training: their options, and what these say."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from nas.cli._options import COUNT, option
from nas.core.errors import NasError, missing_package

if TYPE_CHECKING:
    from nas.training.distributed import Workers

_OPTIONS = (
    option("--workers", 1, "Workers of a Ray cluster that share every batch.", COUNT),
    click.option(
        "--ray-address", default="", help="Their cluster, as in auto. [default: a local one]"
    ),
    option("--cpus-per-worker", 1.0, "What each has of a node.", click.FloatRange(min=0)),
    option("--gpus-per-worker", 0.0, kind=click.FloatRange(min=0)),
)


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of workers on a Ray cluster."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


def is_distributed(flags: Mapping[str, Any]) -> bool:
    """Tell whether the options ask for a cluster."""
    return flags["workers"] > 1 or bool(flags["ray_address"])


def check_cluster(flags: Mapping[str, Any]) -> None:
    """Refuse settings of workers without a cluster."""
    if is_distributed(flags):
        return
    for name, alone in (("cpus_per_worker", 1.0), ("gpus_per_worker", 0.0)):
        if flags[name] != alone:
            flag = f"--{name.replace('_', '-')}"
            raise NasError(f"{flag} is for a cluster: give --workers or --ray-address, too")


def workers_of(flags: Mapping[str, Any]) -> "Workers":
    """Return the workers that the options describe.

    Raises:
        NasError: if a package is missing, or an option is out of its range.
    """
    try:
        from nas.core.workers.join import Need
        from nas.training.distributed import Workers
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="training with --workers") from None
    need = Need(cpus=flags["cpus_per_worker"], gpus=flags["gpus_per_worker"])
    return Workers(count=flags["workers"], need=need, address=flags["ray_address"])
