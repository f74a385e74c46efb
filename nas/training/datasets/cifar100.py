"""CIFAR-100 with its 100 fine classes: the official python archive or its folder."""

from nas.training.data import Source
from nas.training.datasets._cifar import Layout, read

LAYOUT = Layout(
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train=("train",),
    test="test",
    meta="meta",
    labels="fine_labels",
    names="fine_label_names",
)


def create(*, path: str, val: float = 0.1, seed: int) -> Source:
    """Return CIFAR-100 (Krizhevsky, 2009); a share `val` of training is for validation."""
    return read(path, LAYOUT, val=val, seed=seed)
