"""Two networks measured in turns, on a backend whose times are computed."""

import pytest

from nas.core.errors import NasError
from nas.latency.file import load_table
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target
from nas.latency.measure.speedup import measure_speedup, target_like
from nas.network.blocks import Architecture
from nas.network.zoo import load_architecture

FAKE = Target(backend="fake")


def networks() -> tuple[Architecture, Architecture]:
    return load_architecture("mobilenet_v3_large"), load_architecture("mobilenet_v3_large@0.5")


def test_the_factor_is_the_quotient_of_what_both_take() -> None:
    before, after = networks()
    found = measure_speedup(before, after, FAKE, rounds=Rounds.of(3))
    assert found.factor == pytest.approx(found.before.ms / found.after.ms)
    assert found.factor > 1.5
    low, high = found.interval
    assert low <= found.factor <= high
    back = measure_speedup(after, before, FAKE, rounds=Rounds.of(3))
    assert back.factor == pytest.approx(1 / found.factor, rel=0.05)
    assert found.record()["speedup"] == found.factor


def test_a_network_is_as_fast_as_itself() -> None:
    before, _ = networks()
    found = measure_speedup(before, before, FAKE, rounds=Rounds.of(3))
    assert found.factor == pytest.approx(1, rel=0.05)


def test_what_is_measured_on_follows_the_table() -> None:
    two = target_like(load_table("epyc_genoa_onnxruntime_2t_fp32_mnasnet_b0"))
    assert (two.backend, two.threads, two.dtype) == ("onnxruntime", 2, "fp32")
    assert target_like(load_table("epyc_genoa_onnxruntime_1t_int8_mnasnet_b0")).dtype == "int8"
    assert target_like(load_table("pixel1")).dtype == "fp32"


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(NasError, match="unknown backend"):
        measure_speedup(*networks(), Target(backend="abacus"), rounds=Rounds.of(2))
