"""Numbers rounded far above the noise of processors, and far below what they mean.

Sums, matrix products, solutions and logarithms differ in their last bits between processors,
numbers of threads and batch sizes. What a search decides by is computed in float64 and rounded,
here or by its own module, so that the same seed gives the same search everywhere.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BITS = 30
"""Significant bits that `significant` keeps: nine digits, where float64 has sixteen."""


def significant(values: Floats | Sequence[float]) -> Floats:
    """Return `values` rounded to `BITS` significant bits each; NaN and infinities stay.

    Example:
        >>> a, b = significant([0.1 + 0.2, 0.3])
        >>> bool(a == b)
        True
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    rounded: Floats = np.ldexp(np.round(np.ldexp(mantissa, BITS)), exponent - BITS)
    return rounded
