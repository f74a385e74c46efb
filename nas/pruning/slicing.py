"""Cut channels out of weights, and rank them by importance, without torch."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.core.errors import BadValue, unknown
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, check_weights
from nas.pruning.channels import narrowed
from nas.pruning.tracing import Group, Slot

Floats = NDArray[np.float64]
_NORMS: Mapping[str, Callable[[Array], Floats]] = {
    "l1": lambda filters: np.abs(filters, dtype=np.float64).sum(axis=1),
    "l2": lambda filters: np.sqrt(np.square(filters, dtype=np.float64).sum(axis=1)),
}
IMPORTANCES = (*_NORMS, "bn", "taylor")
Effects = Mapping[str, Floats]
"""The change of the loss without each channel, to first order (Molchanov et al., 2019): arrays of
shape (width,), by the name of the weight whose output the channels are."""


def sliced(arch: Architecture, weights: Weights, group: Group, keep: ArrayLike) -> dict[str, Array]:
    """Return the weights of `arch` with only the channels `keep` in one of its groups.

    They are weights for `narrowed(arch, group, len(keep))`. `keep` are indices from 0 in ascending
    order. A squeeze-and-excitation that follows the group keeps its inner channels of largest L1
    norm. Cutting channels whose filters and normalisation are zero does not change the output if
    activations map zero to zero.

    Raises:
        BadValue: if `keep` is not in ascending order within the group.
        NasError: if the weights do not fit `arch`.
    """
    kept = np.asarray(keep, dtype=np.int64)
    if kept.ndim != 1 or not len(kept) or (np.diff(kept) < 1).any():
        raise BadValue(f"{group.name}: channels to keep must be indices in rising order", "keep")
    if kept[0] < 0 or kept[-1] >= group.width:
        raise BadValue(f"{group.name} has channels 0 to {group.width - 1}", "keep")
    check_weights(lower(arch), weights)
    result = dict(weights)
    _take(result, group, kept)
    for follower in group.followers:
        inner = follower.group
        _take(result, inner, strongest(weights, inner, follower.width(len(kept))))
    check_weights(lower(narrowed(arch, group, len(kept))), result)
    return result


def strongest(
    weights: Weights, group: Group, width: int, *, by: str = "l1", effects: Effects | None = None
) -> NDArray[np.int64]:
    """Return the `width` most important channels of `group`, in ascending order.

    Ties go to the first ones.
    """
    order = np.argsort(-importance(weights, group, by=by, effects=effects), kind="stable")
    return np.sort(order[:width])


def importance(
    weights: Weights, group: Group, *, by: str = "l1", effects: Effects | None = None
) -> Floats:
    """Return the importance of every channel of `group`, shape (width,), never negative.

    "l1" and "l2" are the norms of the filters that produce a channel (Li et al., 2017; Yang et al.,
    2018), summed over layers: expansion and depthwise filters of a block, or all blocks that add to
    a stage's channels. "bn" is the absolute scale of their normalisations (Liu et al., 2017), or
    "l1" without any (linear layers, squeeze-and-excitation). "taylor" sums the `effects` on the
    loss (Molchanov et al., 2019), which need data.

    Raises:
        UnknownName: if there is no such measure.
        BadValue: if "taylor" is given without `effects`.
    """
    if by not in IMPORTANCES:
        raise unknown("importance", by, IMPORTANCES)
    if by == "taylor":
        return _effect(group, effects)
    made = [slot for slot in group.slots if slot.makes]
    scales = [slot for slot in made if slot.weight.endswith("norm.weight")]
    filters = [s for s in made if s.weight.endswith("weight") and s not in scales]
    chosen, norm = (scales, "l1") if by == "bn" and scales else (filters, by)
    norm = norm if norm in _NORMS else "l1"
    norms = np.stack([_NORMS[norm](_rows(weights, slot, group.width)) for slot in chosen])
    return np.asarray(norms.sum(axis=0))


def _effect(group: Group, effects: Effects | None) -> Floats:
    if effects is None:
        raise BadValue("importance taylor needs effects on the loss, measured on data", "effects")
    known = [
        effects[slot.weight][slot.start : slot.start + group.width]
        for slot in group.slots
        if slot.makes and slot.weight in effects
    ]
    return np.asarray(np.stack(known).sum(axis=0))


def _rows(weights: Weights, slot: Slot, width: int) -> Array:
    """Return a weight as a matrix with one row per channel of the group."""
    value = np.moveaxis(weights[slot.weight], slot.axis, 0)[slot.start : slot.start + width]
    return value.reshape(len(value), -1)


def _take(weights: dict[str, Array], group: Group, keep: NDArray[np.int64]) -> None:
    starts: dict[tuple[str, int], list[int]] = {}
    for slot in group.slots:
        starts.setdefault((slot.weight, slot.axis), []).append(slot.start)
    for (name, axis), places in starts.items():
        kept = np.ones(weights[name].shape[axis], np.bool_)
        for start in places:
            kept[start : start + group.width] = False
            kept[start + keep] = True
        weights[name] = np.compress(kept, weights[name], axis=axis)
