"""Count multiply-adds, parameters and activations of layers, units and architectures.

One multiply-add counts as one. Convolutions and linear layers are counted, including those in
squeeze-and-excitation; pooling, normalisation, activations, the SE product and residual additions
are not.

The counts equal those of fvcore on the torch model for its operators "conv" and "linear". fvcore
also counts "batch_norm", two per element, which deployment folds away, and "adaptive_avg_pool2d",
one per element. Neither counts activations, SE products, residual additions or the average pooling
of a pooled shortcut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from nas.network.blocks import Architecture
from nas.network.layers import Conv, Layer, Linear, Squeeze, Unit
from nas.network.lowering import lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a network at batch size 1.

    `activations` are the output elements of convolutions and linear layers (Radosavovic et al.,
    2020).
    """

    macs: int = 0
    params: int = 0
    activations: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the sum of both costs."""
        return Cost(
            macs=self.macs + other.macs,
            params=self.params + other.params,
            activations=self.activations + other.activations,
        )


def cost_of_layer(layer: Layer) -> Cost:
    """Return the cost of one layer, including its normalisation."""
    match layer:
        case Conv():
            weights = layer.in_shape[0] // layer.groups * layer.out_shape[0] * layer.kernel**2
            pixels = prod(layer.out_shape[1:])
            return Cost(
                macs=weights * pixels,
                params=weights + (2 if layer.norm else 1) * layer.out_shape[0],
                activations=prod(layer.out_shape),
            )
        case Squeeze(shape=(channels, _, _), channels=inner):
            weights = 2 * channels * inner
            both = channels + inner
            return Cost(macs=weights, params=weights + both, activations=both)
        case Linear(in_features=inputs, out_features=outputs):
            return Cost(
                macs=inputs * outputs, params=inputs * outputs + outputs, activations=outputs
            )
    return Cost()


def cost_of(unit: Unit) -> Cost:
    """Return the cost of one unit."""
    return sum((cost_of_layer(layer) for layer in unit.layers), Cost())


def cost(arch: Architecture) -> Cost:
    """Return the cost of `arch` at its own resolution, batch size 1.

    For a detector, decoding its outputs into boxes is not counted; the fixed weights of its bins
    count as parameters, as in published counts.
    """
    fixed = arch.detector.fixed_params if arch.detector else 0
    return sum((cost_of(unit) for unit in lower(arch)), Cost(params=fixed))


def costs_by_unit(arch: Architecture) -> Mapping[str, Cost]:
    """Return the cost of every unit of `arch` by the unit's name."""
    return {unit.name: cost_of(unit) for unit in lower(arch)}
