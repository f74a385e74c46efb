"""Time graphs in turns on this machine, one image at once, on one thread."""

import time
from collections.abc import Sequence

import numpy as np
import onnx

from nas.training.int8.runtime import session_of

ROUNDS = 50


def lower_quartiles(times: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the lower quartile of each of `times`."""
    return tuple(float(np.quantile(taken, 0.25)) for taken in times)


def milliseconds(
    models: Sequence[onnx.ModelProto], shape: tuple[int, int, int], *, rounds: int = ROUNDS
) -> tuple[float, ...]:
    """Return the time of each of `models` on an image of `shape`, measured in turns.

    It is the lower quartile, since other work makes runs slower and never faster.

    Raises:
        NasError: if onnxruntime refuses a graph.
    """
    sessions = [session_of(model) for model in models]
    image = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    times: list[list[float]] = [[] for _ in sessions]
    for number in range(rounds + 2):  # the first two warm up
        for session, taken in zip(sessions, times, strict=True):
            given = {session.get_inputs()[0].name: image}
            start = time.perf_counter()
            session.run(None, given)
            if number > 1:
                taken.append(1000 * (time.perf_counter() - start))
    return lower_quartiles(times)
