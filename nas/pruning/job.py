"""The inputs of a NetAdapt run: a trained network, a latency table, data, and settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas.core.data import as_json
from nas.latency.file import file_fingerprint
from nas.latency.table import LatencyTable
from nas.network.checkpoint import Checkpoint
from nas.network.lineage import Lineage
from nas.network.weights import fingerprint
from nas.pruning.netadapt import Settings, check
from nas.training.auto import by_one_optimizer
from nas.training.data import Data
from nas.training.pretrained import source_name
from nas.training.recipes import Recipe, as_plain
from nas.training.run import fit_recipe, fit_to_data
from nas.training.trained import check_classes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PruningJob:
    """The inputs of a NetAdapt run; `recipe` is used for fine-tuning.

    `lineage` says how the network was found, for its model card.
    """

    start: Checkpoint
    data: Data
    table: LatencyTable
    settings: Settings
    recipe: Recipe
    device: str = "auto"
    lineage: Lineage = Lineage()  # noqa: RUF009  # frozen


def check_job(job: PruningJob) -> None:
    """Reject a job that cannot succeed, before any work.

    Raises:
        NasError: if the target cannot be reached, or table or data do not fit the network.
    """
    check_classes(job.start, job.data)
    fit_to_data(job.start.arch, job.data, batch=fit_recipe(job.recipe, job.data).batch)
    check(job.start.arch, job.table, job.settings)


def identity(job: PruningJob) -> Mapping[str, Any]:
    """Return everything that determines a run, as plain data."""
    weights = {"name": source_name(job.start), "fingerprint": fingerprint(job.start.weights)}
    found: Mapping[str, Any] = as_json(
        {
            "arch": {"name": job.start.arch.name, "fingerprint": job.start.arch.fingerprint},
            "weights": weights,
            "data": {"name": job.data.name, "fingerprint": job.data.fingerprint},
            "table": {"name": job.table.name, "fingerprint": file_fingerprint(job.table)},
            "settings": asdict(job.settings),
            "recipe": as_plain(by_one_optimizer(job.recipe)),
        }
    )
    return found
