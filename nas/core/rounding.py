"""Round numbers coarsely enough to hide floating-point noise, finely enough to lose no meaning.

Sums, matrix products, solutions and logarithms differ in their last bits between processors,
thread counts and batch sizes. Whatever a search bases decisions on is computed in float64 and
rounded, here or by its own module, so that the same seed gives the same search everywhere.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BITS = 30
"""Significant bits kept by `significant`: nine decimal digits of float64's sixteen."""


def significant(values: Floats | Sequence[float]) -> Floats:
    """Return `values`, each rounded to `BITS` significant bits; NaN and infinities stay.

    Example:
        >>> a, b = significant([0.1 + 0.2, 0.3])
        >>> bool(a == b)
        True
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    rounded: Floats = np.ldexp(np.round(np.ldexp(mantissa, BITS)), exponent - BITS)
    return rounded
