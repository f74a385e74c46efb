"""Measured accuracies from which a model is learned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.space.space import Matrix, Space

LEAST = 20
"""The least number of examples that a model is learned from."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Different architectures of one space with their measured accuracies.

    Attributes:
        space: the space.
        picks: distinct canonical rows, shape (n, columns).
        accuracy: fractions, shape (n,); the mean if a row was measured several times.
        metric: what was measured, one of `nas.accuracy.predictor.METRICS`.
        source: one line about their origin.

    Raises:
        NasError: if there are fewer than `LEAST`, or all accuracies are equal.
    """

    space: Space
    picks: Matrix
    accuracy: NDArray[np.float64]
    metric: str
    source: str

    def __post_init__(self) -> None:
        """Reject too few examples, and equal accuracies."""
        if len(self.picks) < LEAST:
            raise NasError(
                f"{len(self.picks)} different architectures with a {self.metric} are too few to "
                f"learn from; at least {LEAST} are needed: resume the search with more `trials`"
            )
        if np.ptp(self.accuracy) == 0:
            raise NasError(f"every {self.metric} is {self.accuracy[0]:.6g}; nothing can be learned")

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.picks)
