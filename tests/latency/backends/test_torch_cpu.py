"""Torch as a backend: its models, and that torch's settings are restored."""

import json

import pytest

torch = pytest.importorskip("torch")

from nas.core.errors import NasError  # noqa: E402
from nas.latency.backends.torch_cpu import create  # noqa: E402  # skipped above where there is no torch
from nas.network.lowering import lower  # noqa: E402
from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402

pytestmark = pytest.mark.torch

UNITS = lower(scale_resolution(load_architecture("mobilenet_v3_small"), 32))


def test_a_model_holds_the_units_and_no_weights() -> None:
    content = json.loads(create().compile(UNITS[:2]))
    assert content["schema"] == 1
    assert [row["block"]["kind"] for row in content["units"]] == ["conv", "mbconv"]
    assert content["units"][0]["in_shapes"] == [[3, 32, 32]]


def test_the_runtime_says_the_mode() -> None:
    assert create().runtime == f"torch {torch.__version__} eager"
    assert create(mode="compiled").runtime.endswith(" compiled")


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    for threads in (before, before + 1):
        backend = create(threads=threads)
        backend.open(backend.compile(UNITS))()
        assert torch.get_num_threads() == before


def test_the_random_numbers_of_torch_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    backend = create()
    backend.open(backend.compile(UNITS))()
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema": 2, "units": []}, "schema is 2"),
        ({"schema": 1, "units": []}, "no units"),
        ({"schema": 1, "units": [], "seed": 1}, "unknown key 'seed'"),
        ({"schema": 1, "units": [{"in_shape": [3, 8]}]}, "broken unit"),
        ({"schema": 1, "units": [{"in_shape": [3, 8, 8], "block": {"size": 1}}]}, "broken unit"),
    ],
)
def test_a_broken_model_is_named(content: object, message: str) -> None:
    with pytest.raises(NasError, match=message):
        create().open(json.dumps(content).encode())


def test_int8_and_unknown_modes_are_refused() -> None:
    with pytest.raises(NasError, match=r"unknown dtype of backend torch_cpu 'int8'.*fp32"):
        create(dtype="int8")
    with pytest.raises(NasError, match=r"unknown mode of backend torch_cpu 'eagre'.*eager"):
        create(mode="eagre")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # by torch itself
def test_compiled_models_run() -> None:
    backend = create(mode="compiled")
    for units in (UNITS[1:2], UNITS[-1:]):
        assert backend.open(backend.compile(units))() > 0
