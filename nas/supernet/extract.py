"""Write a network of a supernet as a checkpoint that stands alone."""

from dataclasses import asdict
from pathlib import Path

import torch

from nas.core.schema import SCHEMA
from nas.models import state
from nas.network.blocks import to_mapping
from nas.network.checkpoint import MODEL, Checkpoint
from nas.network.lineage import Lineage

_UNKNOWN = Lineage()


def save_checkpoint(
    path: Path, found: Checkpoint, *, supernet: str = "", lineage: Lineage = _UNKNOWN
) -> None:
    """Write a network with its weights and its accuracy, if it is known, to `path`.

    For its model card: the name of the space of the `supernet`, and how its architecture was found.

    Raises:
        BadFile: if it cannot be written.
    """
    tensors = {f"{MODEL}{name}": torch.from_numpy(value) for name, value in found.weights.items()}
    facts = {
        "schema": SCHEMA,
        "arch": to_mapping(found.arch),
        "data": asdict(found.data),
        "progress": found.scores,
        "supernet": supernet,
        "lineage": asdict(lineage),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    state.save(path, tensors, facts)
