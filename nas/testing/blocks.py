"""What every kind of block keeps to: layers that fit, for one block as for many at once."""

from dataclasses import replace
from typing import Any

import numpy as np

from nas.core.errors import NasError
from nas.network.arrays import NUMBERS, BlockArrays, lower_arrays
from nas.network.blocks import Block
from nas.network.cost import cost, cost_of
from nas.network.kinds import EXPANDS
from nas.network.layers import Unit
from nas.network.lowering import kind_of, lower_block
from nas.space.file import space_from_mapping
from nas.space.lookup import Lookup
from nas.testing.spaces import sample

_SIDES = np.array([14, 14, 28, 7])
_TEXTS: dict[str, Any] = {
    "act": "relu", "se_act": "relu", "gate": "sigmoid", "skip": "identity", "stride": 1,
}  # fmt: skip


def blocks(text: str) -> BlockArrays:
    """Return four blocks of the kind `text` that differ in their numbers."""
    inputs, reads = np.array([8, 16, 16, 24]), kind_of(text).choices
    values = {
        "kind": text,
        "in_channels": inputs,
        "out_channels": np.array([8, 24, 16, 16]),
        "hidden_channels": 3 * inputs if EXPANDS in reads else 0 * inputs,
        "kernel": np.array([3, 5, 3, 3]) if "kernel" in reads else np.ones(4, int),
        "se_channels": np.array([0, 4, 0, 6]) if "se" in reads else np.zeros(4, int),
    }
    return BlockArrays.of({**values, **_TEXTS}, len(_SIDES))


def alone(many: BlockArrays, place: int) -> Unit:
    """Return one of the blocks as the unit that it becomes by itself."""
    numbers: dict[str, Any] = {name: int(getattr(many, name)[place]) for name in NUMBERS}
    side = int(_SIDES[place])
    return lower_block(
        Block(kind=many.kind, **numbers, **_TEXTS), (numbers["in_channels"], side, side)
    )


def its_layers_fit_together(text: str) -> None:
    """Each layer takes what the one before it gives, from the first to the last."""
    for place in range(len(_SIDES)):
        unit = alone(blocks(text), place)
        shape = unit.in_shape
        for layer in unit.layers:
            taken = getattr(layer, "in_shape", getattr(layer, "shape", shape))
            assert taken == shape, f"layer {layer.name} takes {taken}, and is given {shape}"
            shape = getattr(layer, "out_shape", shape)
        assert shape == unit.out_shape
        names = [layer.name for layer in unit.layers]
        assert len(set(names)) == len(names), f"several layers are called {names}"


def many_blocks_at_once_cost_what_each_costs(text: str) -> None:
    """Blocks whose numbers are arrays cost what each of them costs alone."""
    many, seen = blocks(text), 0
    for places, units in lower_arrays(many, _SIDES):
        found = cost_of(units)
        macs, params = (np.broadcast_to(n, len(places)) for n in (found.macs, found.params))
        for i, place in enumerate(places.tolist()):
            one = cost_of(alone(many, place))
            assert (int(macs[i]), int(params[i])) == (one.macs, one.params)
            seen += 1
    assert seen == len(_SIDES)


def a_stride_halves_its_maps(text: str) -> None:
    """A block of stride 2 gives maps of half the side, or refuses the stride in one line."""
    block = replace(alone(blocks(text), 0).block, stride=2)
    try:
        unit = lower_block(block, (8, 14, 14))
    except NasError:  # it has none, and says so
        return
    assert unit.out_shape[1:] == (7, 7)


def a_space_of_it_counts_its_networks(text: str) -> None:
    """A space of such blocks counts its networks as they are counted one by one."""
    several = {"expansion": [2, 3], "kernel": [3, 5], "se": [False, True], "act": ["relu", "swish"]}
    chosen = {name: values for name, values in several.items() if name in kind_of(text).choices}
    stage = {"kind": text, "width": [8, 16], "layers": [1, 2], **chosen}
    space = space_from_mapping({
        "schema": 1, "name": "of_blocks", "resolution": [32, 64],
        "stem": [{"kind": "conv", "width": 8, "kernel": 3, "stride": 2}],
        "stages": [stage, {**stage, "width": 16}],
        "head": [{"kind": "pool"}, {"kind": "linear", "width": 10, "act": "none"}],
    })  # fmt: skip
    rows = sample(space, 30)
    found = Lookup(space, lambda unit: (cost_of(unit).macs, cost_of(unit).params))(rows)
    for arch, counted in zip(space.decode_rows(rows), found.tolist(), strict=True):
        alone = cost(arch)
        assert counted == [alone.macs, alone.params]
        assert space.decode(space.encode(arch)) == arch


CHECKS = (
    its_layers_fit_together,
    many_blocks_at_once_cost_what_each_costs,
    a_stride_halves_its_maps,
    a_space_of_it_counts_its_networks,
)
"""In the order in which they are run."""
