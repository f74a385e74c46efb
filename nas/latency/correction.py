"""Correct the latency of a unit measured alone to what it adds to a network.

The latency of a unit alone includes the start of the runtime, which also converts the input to its
own layout and the output back. Inside a network the unit does not pay for this, but finds its
weights and input in a colder cache. The cost of any run, however small the model, is measured and
subtracted, since a network has it once. The rest of the difference is modelled as a factor on the
unit's latency that depends on its kind and size, plus nanoseconds per count of the operator model,
which matter for small units: loading weights, starting layers, converting layouts. Both are fitted
on networks that were measured end to end; the result is never less than a tenth of the unit's own
latency.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import log, prod

import numpy as np
from numpy.typing import NDArray

from nas.core.schema import Signed
from nas.latency.predictor import counts_of
from nas.network.cost import cost_of
from nas.network.layers import Unit

Floats = NDArray[np.float64] | float

_ELEMENTS, _PARAMS, _MACS = 1e5, 1e4, 1e7
_MIN_ADDED = 0.1
_MIN_OWN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The coefficients of one table: those of the factor, linear in `features`, and `terms`.

    `terms` are nanoseconds per count of `nas.latency.predictor.counts`; they may be negative.
    """

    whole: Signed
    shortcut: Signed
    squeezed: Signed
    hard: Signed
    log_elements: Signed
    log_params: Signed
    log_macs: Signed
    separable: Signed = 0.0
    terms: Mapping[str, Signed] = field(default_factory=dict)

    def factor(self, unit: Unit) -> float:
        """Return the ratio of a unit's latency in a network to that alone, before the terms."""
        values = zip(FEATURES, features(unit), strict=True)
        total: float = sum(getattr(self, name) * value for name, value in values)
        return total

    def corrected_ms(self, unit: Unit, isolated_ms: float, fixed_ms: float = 0.0) -> float:
        """Return the milliseconds that `unit`, measured alone as `isolated_ms`, adds to a network.

        `fixed_ms` is the cost of any run.
        """
        own, counts = own_ms(isolated_ms, fixed_ms), counts_of(unit) if self.terms else {}
        terms = sum(1e-6 * ns * counts.get(name, 0) for name, ns in self.terms.items())
        return float(added_ms(self.factor(unit) * own + terms, own))


def own_ms(isolated_ms: float, fixed_ms: float) -> float:
    """Return `isolated_ms` without `fixed_ms`, but at least a twentieth of it."""
    return max(isolated_ms - fixed_ms, _MIN_OWN * isolated_ms)


def added_ms(corrected_ms: Floats, own: Floats) -> Floats:
    """Return what units add to a network: `corrected_ms`, but at least a tenth of their own."""
    return np.maximum(corrected_ms, _MIN_ADDED * own)


FEATURES = tuple(f.name for f in fields(Correction) if f.name != "terms")


def features(unit: Unit) -> tuple[float, ...]:
    """Return the features of one unit in the order of `FEATURES`.

    They are a constant 1; indicators of a shortcut, of squeeze-and-excitation, and of h-swish, for
    which runtimes leave their own layout; the logarithms of the elements in and out, of the
    parameters and of the multiply-adds, relative to a medium-sized unit; and an indicator of a
    separable convolution.
    """
    cost = cost_of(unit)
    elements = prod(unit.in_shape) + prod(unit.out_shape)
    return (
        1.0,
        float(unit.shortcut != "none"),
        float(unit.block.se_channels > 0),
        float(unit.block.act == "hswish"),
        log(elements / _ELEMENTS),
        log(max(cost.params, 1) / _PARAMS),
        log(max(cost.macs, 1) / _MACS),
        float(unit.block.kind == "separable"),
    )
