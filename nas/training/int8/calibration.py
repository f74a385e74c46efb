"""Run a float graph on calibration images, and keep how its values are distributed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.exporting.int8.qdq import values_of
from nas.exporting.int8.ranges import BINS, Histogram
from nas.training.int8.runtime import session_of

MIN_IMAGES = 16
Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """The histogram of every value that is to be written as bytes, and the means of channels."""

    histograms: Mapping[str, Histogram]
    means: Mapping[str, NDArray[np.float64]]
    images: int


def calibrate(model: onnx.ModelProto, batches: Sequence[Images]) -> Calibration:
    """Return the calibration of `model` on batches of normalised images.

    They are run twice: for the ends of each range, then for what lies between them.

    Raises:
        NasError: if there are fewer than 16 images or they are of another size, or a value is not
            finite or always 0.
    """
    count = sum(map(len, batches))
    if count < MIN_IMAGES:
        raise NasError(
            f"calibration needs {MIN_IMAGES} images or more, and has {count}; a hundred are usual"
        )
    _check_sizes(model, batches)
    names = values_of(model)
    found = _summed(model, names, batches)
    _check({name: one.ends for name, one in found.items()})
    counts = {name: np.zeros(BINS) for name in names}
    for values in _run(model, names, batches):
        for name, value in values.items():
            counts[name] += np.histogram(value, BINS, found[name].ends)[0]
    return Calibration(
        histograms={
            name: Histogram(
                low=one.ends[0],
                high=one.ends[1],
                counts=counts[name],
                usual=(one.usual[0] / count, one.usual[1] / count),
            )
            for name, one in found.items()
        },
        means={name: one.mean / count for name, one in found.items()},
        images=count,
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """The ends of a value, and sums over images: of the ends of each, and of means of channels."""

    ends: tuple[float, float]
    usual: tuple[float, float]
    mean: NDArray[np.float64]


def _summed(
    model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Images]
) -> dict[str, _Sums]:
    """Return the sums of all values over all images."""
    found: dict[str, _Sums] = {}
    for values in _run(model, names, batches):
        for name, value in values.items():
            new = _sums(value)
            old = found.get(name, new)
            found[name] = (
                new
                if old is new
                else _Sums(
                    ends=(
                        float(np.minimum(old.ends[0], new.ends[0])),  # keeps NaNs, unlike min
                        float(np.maximum(old.ends[1], new.ends[1])),
                    ),
                    usual=(old.usual[0] + new.usual[0], old.usual[1] + new.usual[1]),
                    mean=old.mean + new.mean,
                )
            )
    return found


def _sums(value: NDArray[Any]) -> _Sums:
    """Return the sums of a value (images, ...) of one batch."""
    flat = value.reshape(len(value), -1).astype(np.float64)
    low, high = np.minimum(flat.min(axis=1), 0), np.maximum(flat.max(axis=1), 0)
    return _Sums(
        ends=(float(low.min()), float(high.max())),
        usual=(float(low.sum()), float(high.sum())),
        mean=value.astype(np.float64).mean(axis=tuple(range(2, value.ndim))).sum(axis=0),
    )


def _check_sizes(model: onnx.ModelProto, batches: Sequence[Images]) -> None:
    given = model.graph.input[0]
    wanted = [one.dim_value for one in given.type.tensor_type.shape.dim[1:]]  # 0 where it is open
    for images in batches:
        sides = images.shape[1:]
        if len(sides) != len(wanted) or any(
            w not in (0, s) for w, s in zip(wanted, sides, strict=True)
        ):
            ours, theirs = ("x".join(str(side or "any") for side in one) for one in (sides, wanted))
            raise NasError(
                f"calibration images are {ours}, and {given.name} takes {theirs}; give images as "
                "the network was trained with"
            )


def _check(ends: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in ends.items():
        if not np.isfinite([low, high]).all():
            raise NasError(
                f"{name} is not finite on the calibration images; are there NaNs in the weights?"
            )
        if low == high == 0:
            raise NasError(
                f"{name} is 0 for all calibration images, so that no range can be chosen; prune "
                "these channels, or train the network"
            )


def _run(
    model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Images]
) -> Iterator[dict[str, Any]]:
    """Yield all values of each batch."""
    given, *made = names
    session = session_of(_with_outputs(model, made))
    for images in batches:
        values = dict(zip(made, session.run(made, {given: images}), strict=True))
        yield {given: images, **values}


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.graph.ClearField("output")
    result.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return result
