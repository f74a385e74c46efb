"""Names of a network's tensors in other libraries, and the conversion of weights both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, steps
from nas.network.layers import Conv, Layer, Squeeze, Unit
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, join, weight_shapes


@dataclass(frozen=True, slots=True)
class Named:
    """The name and shape of a tensor in the state dict of another library."""

    name: str
    shape: tuple[int, ...]


Names = Mapping[str, Named]
"""Names of tensors in another library by our names, in order of execution."""

Modules = Mapping[str, tuple[str, ...]]
"""The modules of another library that hold the tensors of a layer, by its name in its unit.

They are a convolution and its normalisation, the two convolutions of a squeeze-and-excitation, or
one linear layer.
"""


def named_tensors(unit: Unit, modules: Modules, *, as_conv: bool = False) -> dict[str, Named]:
    """Return the names of all tensors of `unit`, whose layers are `modules` in another library.

    With `as_conv` its linear layers are 1x1 convolutions there.
    """
    result = {}
    for layer in unit.layers:
        start = join(unit.name, layer.name) + "."
        for name, shape in weight_shapes((unit,)).items():
            if name.startswith(start):
                theirs = _name(layer, name.removeprefix(start), modules[layer.name])
                spread = as_conv and len(shape) == 2
                result[name] = Named(theirs, (*shape, 1, 1) if spread else shape)
    return result


def _name(layer: Layer, name: str, modules: tuple[str, ...]) -> str:
    """Return the name in another library of a layer's tensor `name`."""
    match layer:
        case Conv() if name.startswith("norm."):
            return f"{modules[1]}.{name.removeprefix('norm.')}"
        case Squeeze():
            part, _, name = name.partition(".")
            return f"{modules[part == 'expand']}.{name}"
    return f"{modules[0]}.{name}"


Stages = tuple[tuple[Unit, ...], ...]


def parts(arch: Architecture) -> tuple[Unit, Stages, tuple[Unit, ...]]:
    """Return the first unit of `arch`, its stages, and the units of its head.

    The rest of the stem is a stage of its own, as in other libraries.

    Raises:
        BadValue: if the first unit is not a plain convolution.
    """
    units = iter(lower(arch))
    stem = [next(units) for _ in arch.stem]
    stages = [tuple(next(units) for _ in stage) for stage in arch.stages]
    if not stem or not is_plain(stem[0]):
        raise BadValue("stem: in other libraries a network begins with a plain convolution", "stem")
    return stem[0], tuple(stage for stage in (tuple(stem[1:]), *stages) if stage), tuple(units)


def is_plain(unit: Unit) -> bool:
    """Return whether `unit` is only a convolution with its normalisation."""
    return unit.block.kind == "conv" and not unit.block.squeezes


def no_place(unit: Unit, library: str, why: str) -> NoReturn:
    """Reject a unit that `library` has no place for.

    Raises:
        BadValue: always, with the name of the unit.
    """
    raise BadValue(f"{unit.name}: {library} {why}", *steps(unit.name))


def renamed(weights: Weights, names: Names) -> dict[str, Array]:
    """Return our `weights` under the names, and in the shapes, of another library."""
    return {named.name: weights[ours].reshape(named.shape) for ours, named in names.items()}


def restored(found: Weights, names: Names, units: Sequence[Unit]) -> dict[str, Array]:
    """Invert `renamed`; `found` must have every tensor of `units`, in its shape."""
    shapes = weight_shapes(units)
    return {ours: found[named.name].reshape(shapes[ours]) for ours, named in names.items()}
