"""Computed times: exact without noise, refusals on demand."""

import pytest

from nas.core.errors import NasError
from nas.latency.backends.fake import create
from nas.network.lowering import lower
from nas.network.zoo import load_architecture

UNITS = lower(load_architecture("mobilenet_v2"))


def test_without_noise_a_run_takes_what_the_model_says() -> None:
    backend = create(noise=0)
    run = backend.open(backend.compile(UNITS))
    assert run() == run() == backend.open(backend.compile(UNITS))()
    assert 1e-3 < run() < 1


def test_noise_only_adds_and_comes_from_the_seed() -> None:
    def runs(seed: int) -> list[float]:
        backend = create(noise=0.1, seed=seed)
        run = backend.open(backend.compile(UNITS))
        return [run() for _ in range(20)]

    exact = create(noise=0)
    assert min(runs(1)) > exact.open(exact.compile(UNITS))()
    assert runs(1) == runs(1) != runs(2)


def test_a_network_takes_less_than_the_sum_of_its_units() -> None:
    backend = create(noise=0)
    parts = sum(backend.open(backend.compile([unit]))() for unit in UNITS)
    assert backend.open(backend.compile(UNITS))() < parts


def test_a_unit_is_refused_by_a_part_of_its_key() -> None:
    backend = create(refuse="stride 2 relu6")
    with pytest.raises(NasError, match=r"fake refuses conv 224x224x3 -> 112x112x32"):
        backend.open(backend.compile(UNITS))
    assert backend.open(backend.compile(UNITS[1:2]))() > 0


def test_negative_noise_is_refused() -> None:
    with pytest.raises(NasError, match="noise must be 0 or more, not -1"):
        create(noise=-1)
