"""What a network pays to load its weights in every run, once they outgrow the cache of a core.

Where one run follows another, weights that fit into the cache are still there in the next run. More
of them, which every run reads in the same order, push each other out just before they are needed,
so that a little above the size of the cache all are loaded again. A unit that is measured alone
never pays for this.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.core.errors import BadValue
from nas.core.schema import Milliseconds, Range

Megabytes = Annotated[float, Range(0, 1e6)]
_BYTES = {"int8": 1, "fp16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightReload:
    """The milliseconds that a network's weights add to those of its units, by their megabytes.

    A network with up to `fits_mb` loads none of its weights again, one with `misses_mb` or more
    loads all, and between the two the share grows linearly; a megabyte (1e6 bytes) takes
    `ms_per_mb`.
    """

    fits_mb: Megabytes
    misses_mb: Megabytes
    ms_per_mb: Milliseconds

    def __post_init__(self) -> None:
        if not self.fits_mb < self.misses_mb:
            raise BadValue("must have fits_mb < misses_mb", "fits_mb")

    def ms(self, weights_mb: ArrayLike) -> NDArray[np.float64]:
        """Return what networks with so many megabytes of weights pay, in milliseconds."""
        size = np.asarray(weights_mb, float)
        share = np.clip((size - self.fits_mb) / (self.misses_mb - self.fits_mb), 0, 1)
        return np.asarray(self.ms_per_mb * size * share)


def megabytes(weights: ArrayLike, dtype: str) -> NDArray[np.float64]:
    """Return the size of so many weights in a dtype (4 bytes each unless int8 or fp16)."""
    return np.asarray(weights, float) * (_BYTES.get(dtype, 4) / 1e6)
