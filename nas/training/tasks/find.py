"""Find the task of an architecture."""

from functools import lru_cache

from nas.core.errors import BadValue
from nas.network.blocks import Architecture
from nas.network.lowering import priors_of
from nas.training.tasks.classification import Classification
from nas.training.tasks.detection import Detection
from nas.training.tasks.task import Task


def task_of(arch: Architecture) -> Task:
    """Return what `arch` learns: detection if it has a detector, else classification."""
    return Classification() if arch.detector is None else detection_of(arch)


@lru_cache(maxsize=16)
def detection_of(arch: Architecture) -> Detection:
    """Return the task of a detector.

    Raises:
        BadValue: if it is none.
    """
    if arch.detector is None:
        raise BadValue(f"{arch.name or 'the network'} is no detector", "detector")
    return Detection(detector=arch.detector, priors=priors_of(arch), side=arch.resolution)
