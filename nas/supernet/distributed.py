"""Train a supernet with several workers of a Ray cluster."""

from dataclasses import replace
from pathlib import Path

from nas.core.storage import Place
from nas.space.file import load_space
from nas.supernet.run import TrainedSupernet, keep_space, train_supernet
from nas.supernet.sampling import smallest
from nas.training.distributed import Workers, distribute
from nas.training.job import TrainingJob
from nas.training.run import fit_to_data


def train_supernet_distributed(
    job: TrainingJob, space: str, out: Path, workers: Workers
) -> TrainedSupernet:
    """Train as `nas.supernet.run.train_supernet` does, with all `workers`.

    Every worker trains the same networks in a step, each on its share of the batch. The folder
    `out` must be one that this process and the workers share.

    Raises:
        KeyboardInterrupt: on Ctrl-C; the same call resumes from the last checkpoint.
        NasError: as `train_supernet` and `nas.training.distributed.train_distributed` do.
    """
    least = load_space(space)
    fit_to_data(
        least.decode_row(smallest(least)), job.data, batch=job.recipe.batch // workers.count
    )
    keep_space(space, out)
    distribute(job, Place(out), workers)
    options = replace(job.options, device="cpu", report=None)
    return train_supernet(replace(job, options=options), space, out)
