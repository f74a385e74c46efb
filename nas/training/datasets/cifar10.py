"""CIFAR-10: the official python archive or its folder."""

from nas.training.data import Source
from nas.training.datasets._cifar import Layout, read

LAYOUT = Layout(
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    labels="labels",
    names="label_names",
)


def create(*, path: str, val: float = 0.1, seed: int) -> Source:
    """Return CIFAR-10 (Krizhevsky, 2009); a share `val` of training is for validation."""
    return read(path, LAYOUT, val=val, seed=seed)
