"""Correct what a unit takes alone to what it adds to a network.

A unit that is measured alone includes the start of the runtime, which also brings the input into
its own layout and the output back. Inside a network it does not, but finds its weights and its
input in a colder cache. What any run costs, however small the model, is measured and taken off: a
network has it once. The rest of the difference is a share of the unit's time that depends on its
kind and size, and a few terms in milliseconds, which matter for small units: loading weights,
starting layers, converting layouts. Both are fitted on networks that were measured end to end; a
unit never costs less than a fifth of its own time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import log, prod

from nas.core.schema import Signed
from nas.network.cost import cost_of
from nas.network.layers import Unit

_ELEMENTS, _PARAMS, _MACS = 1e5, 1e4, 1e7
_LOWEST, _HIGHEST = 0.2, 3.0
_LEAST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The coefficients of one table: of the factor, linear in `features`, and of `terms`.

    Those of `terms` are milliseconds per million weights, per layer and per million elements.
    """

    whole: Signed
    shortcut: Signed
    squeezed: Signed
    hard: Signed
    log_elements: Signed
    log_params: Signed
    log_macs: Signed
    weights: Signed = 0.0
    layers: Signed = 0.0
    elements: Signed = 0.0

    def factor(self, unit: Unit) -> float:
        """Return what `unit` costs in a network over what it costs alone, between 1/5 and 3."""
        return min(max(self._sum(FEATURES, features(unit)), _LOWEST), _HIGHEST)

    def _sum(self, names: Sequence[str], values: Sequence[float]) -> float:
        pairs = zip(names, values, strict=True)
        total: float = sum(getattr(self, name) * value for name, value in pairs)
        return total

    def corrected_ms(self, unit: Unit, isolated_ms: float, fixed_ms: float = 0.0) -> float:
        """Return what `unit`, measured alone as `isolated_ms`, adds to a network.

        `fixed_ms` is what any run costs.
        """
        own = own_ms(isolated_ms, fixed_ms)
        return max(self.factor(unit) * own + self._sum(TERMS, terms(unit)), _LOWEST * own)


def own_ms(isolated_ms: float, fixed_ms: float) -> float:
    """Return what of `isolated_ms` is the unit's own, not `fixed_ms`: a twentieth at least."""
    return max(isolated_ms - fixed_ms, _LEAST * isolated_ms)


TERMS = ("weights", "layers", "elements")
FEATURES = tuple(f.name for f in fields(Correction) if f.name not in TERMS)


def features(unit: Unit) -> tuple[float, ...]:
    """Return the features of one unit in the order of `FEATURES`.

    1 for each unit; 1 with a shortcut, with squeeze-and-excitation, and with h-swish, for which
    runtimes leave their own layout; the logarithms of the elements in and out, of the parameters
    and of the multiply-adds, relative to a unit of medium size.
    """
    cost, elements = cost_of(unit), _elements(unit)
    return (
        1.0,
        float(unit.shortcut != "none"),
        float(unit.block.se_channels > 0),
        float(unit.block.act == "hswish"),
        log(elements / _ELEMENTS),
        log(max(cost.params, 1) / _PARAMS),
        log(max(cost.macs, 1) / _MACS),
    )


def terms(unit: Unit) -> tuple[float, ...]:
    """Return what `TERMS` count of one unit, elements in and out."""
    return 1e-6 * cost_of(unit).params, float(len(unit.layers)), 1e-6 * _elements(unit)


def _elements(unit: Unit) -> int:
    return prod(unit.in_shape) + prod(unit.out_shape)
