"""Computed times instead of measured ones, for tests and dry runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.core import strict_json
from nas.core.errors import NasError
from nas.latency.backends import Backend, Run, check_options
from nas.network.layers import Unit

_SECONDS = {
    "conv_macs": 30e-12, "conv_reads": 300e-12, "conv_writes": 400e-12, "conv_weights": 400e-12,
    "depthwise_macs": 120e-12, "depthwise_spill": 150e-12, "linear_weights": 150e-12,
    "se_elements": 900e-12, "hswish": 300e-12, "swish": 800e-12,
}  # fmt: skip
_END_SECONDS = 1.2e-9
_START_SECONDS = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake:
    """Gives every model the time of a linear model, with noise.

    Elements in and out of a model cost, so the sum of isolated units is more than the network.
    `noise` is the relative standard deviation of one run; units with `refuse` in their key are
    refused.
    """

    dtype: str
    noise: float
    refuse: str
    draws: Iterator[float] = field(repr=False, compare=False)
    suffix: str = ".json"

    @property
    def runtime(self) -> str:
        """The name of what is not there."""
        return "fake 1"

    def compile(self, units: Sequence[Unit]) -> bytes:
        """Return the computed seconds of `units` as JSON."""
        from nas.latency.predictor import counts_of

        found = [counts_of(unit) for unit in units]
        work = sum(
            rate * counts.get(name, 0) for counts in found for name, rate in _SECONDS.items()
        )
        ends = int(np.prod(units[0].in_shape) + np.prod(units[-1].out_shape))
        refused = [unit.key for unit in units if self.refuse and self.refuse in unit.key]
        seconds = _START_SECONDS + work + _END_SECONDS * ends
        return strict_json.dumps({"seconds": seconds, "refused": refused}).encode()

    def open(self, model: bytes) -> Run:
        """Return a function that returns the computed seconds, a little more or less.

        Raises:
            NasError: if a unit of the model is to be refused, or the model is not one of these.
        """
        try:
            content = strict_json.parse(model)
            seconds, refused = float(content["seconds"]), list(content["refused"])
        except (ValueError, TypeError, KeyError):
            raise NasError("fake refuses the model: it is not JSON with seconds") from None
        if refused:
            raise NasError(f"fake refuses {refused[0]}")
        return lambda: seconds * (1 + self.noise * next(self.draws))


def create(
    *, threads: int = 1, dtype: str = "fp32", noise: float = 0.01, refuse: str = "", seed: int = 0
) -> Backend:
    """Return the backend; see `Fake` for `noise` and `refuse`.

    Raises:
        NasError: if `threads` or `dtype` is none it has, or `noise` is negative.
    """
    check_options("fake", threads=threads, dtype=dtype)
    if noise < 0:
        raise NasError(f"backend fake: noise must be 0 or more, not {noise}")
    return Fake(dtype=dtype, noise=noise, refuse=refuse, draws=_draws(seed))


def _draws(seed: int) -> Iterator[float]:
    """Yield how much slower runs are, in standard deviations."""
    rng = np.random.default_rng(seed)
    while True:
        yield float(abs(rng.standard_normal()))
