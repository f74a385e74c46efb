"""What is known of metrics by their names: which are fractions, which are to be maximised."""

import numpy as np
from numpy.typing import NDArray

from nas.accuracy.predictor import METRICS
from nas.core.schema import PREDICTED

HIGHER_IS_BETTER = ("top1", "top1_lcb", "top1_proxy", "map", "map_proxy", "zero_cost", "reward")
"""Metrics that an objective maximises unless told otherwise."""

FRACTIONS = (*METRICS, "top1_lcb", "map", "map50", "map_proxy")
"""Metrics that are fractions, shown in per cent.

`top1_lcb` is a lower confidence bound; `map`, `map50` and `map_proxy` (after a shortened training)
are average precisions of detectors.
"""

UPPER = "latency_upper_ms"
"""The upper end of the latency's interval, a metric where a confidence is asked for."""


def plausible(metric: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of `values` the metric can have: finite numbers, for accuracies fractions."""
    finite: NDArray[np.bool_] = np.isfinite(values)
    if metric not in FRACTIONS:
        return finite
    return finite & (values >= PREDICTED.least) & (values <= PREDICTED.most)


def possible(metric: str) -> str:
    """Return which values are `plausible`, as in "a finite number"."""
    return f"a fraction (a number{PREDICTED})" if metric in FRACTIONS else "a finite number"
