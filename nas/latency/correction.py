"""Correct what a unit takes alone to what it adds to a network.

A unit that is measured alone includes the start of the runtime, which also brings the input into
its own layout and the output back. Inside a network it does not, but finds its weights and its
input in a colder cache. What any run costs, however small the model, is measured and taken off: a
network has it once. The rest of the difference is a share of the unit's time that depends on its
kind and size, and nanoseconds for what the operator model counts, which matter for small units:
loading weights, starting layers, converting layouts. Both are fitted on networks that were measured
end to end; a unit never costs less than a fifth of its own time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import log, prod

from nas.core.schema import Signed
from nas.latency.predictor import counts_of
from nas.network.cost import cost_of
from nas.network.layers import Unit

_ELEMENTS, _PARAMS, _MACS = 1e5, 1e4, 1e7
_LOWEST, _HIGHEST = 0.2, 3.0
_LEAST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The coefficients of one table: of the factor, which is linear in `features`, and `terms`.

    `terms` are nanoseconds per count of `nas.latency.predictor.counts`, below 0 as well.
    """

    whole: Signed
    shortcut: Signed
    squeezed: Signed
    hard: Signed
    log_elements: Signed
    log_params: Signed
    log_macs: Signed
    terms: Mapping[str, Signed] = field(default_factory=dict)

    def factor(self, unit: Unit) -> float:
        """Return what `unit` costs in a network over what it costs alone, between 1/5 and 3."""
        values = zip(FEATURES, features(unit), strict=True)
        total: float = sum(getattr(self, name) * value for name, value in values)
        return min(max(total, _LOWEST), _HIGHEST)

    def corrected_ms(self, unit: Unit, isolated_ms: float, fixed_ms: float = 0.0) -> float:
        """Return what `unit`, measured alone as `isolated_ms`, adds to a network.

        `fixed_ms` is what any run costs.
        """
        own, counts = own_ms(isolated_ms, fixed_ms), counts_of(unit) if self.terms else {}
        terms = sum(1e-6 * ns * counts.get(name, 0) for name, ns in self.terms.items())
        return max(self.factor(unit) * own + terms, _LOWEST * own)


def own_ms(isolated_ms: float, fixed_ms: float) -> float:
    """Return what of `isolated_ms` is the unit's own, not `fixed_ms`: a twentieth at least."""
    return max(isolated_ms - fixed_ms, _LEAST * isolated_ms)


FEATURES = tuple(f.name for f in fields(Correction) if f.name != "terms")


def features(unit: Unit) -> tuple[float, ...]:
    """Return the features of one unit in the order of `FEATURES`.

    1 for each unit; 1 with a shortcut, with squeeze-and-excitation, and with h-swish, for which
    runtimes leave their own layout; the logarithms of the elements in and out, of the parameters
    and of the multiply-adds, relative to a unit of medium size.
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
    )
