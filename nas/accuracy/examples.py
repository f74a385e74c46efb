"""Examples of accuracies, to learn a model from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.space.space import Matrix, Space

LEAST = 20
"""The least number of examples for a model."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Different architectures of one space with their measured accuracies.

    Attributes:
        space: the space.
        picks: canonical rows, each once, shape (n, columns).
        accuracy: fractions, shape (n,); the mean where a row was measured several times.
        metric: what was measured, one of `nas.accuracy.predictor.METRICS`.
        source: one line that says where they come from.

    Raises:
        NasError: if there are fewer than `LEAST` of them, or all accuracies are the same.
    """

    space: Space
    picks: Matrix
    accuracy: NDArray[np.float64]
    metric: str
    source: str

    def __post_init__(self) -> None:
        """Refuse too few examples, and equal ones."""
        if len(self.picks) < LEAST:
            raise NasError(
                f"{len(self.picks)} different architectures with a {self.metric} are too few to "
                f"learn from; at least {LEAST} are needed: search on with more `trials`"
            )
        if np.ptp(self.accuracy) == 0:
            raise NasError(f"every {self.metric} is {self.accuracy[0]:.6g}; nothing can be learned")

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.picks)
