"""What every backend keeps to; a new one is tested without being listed."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from nas.core.errors import MissingPackage, NasError, UnknownName
from nas.core.plugins import Plugin, available, create
from nas.latency.backends import DTYPES, Backend
from nas.network.blocks import Block
from nas.network.layers import Shape, Unit
from nas.network.lowering import alone, kinds_of_blocks, lower_block

NAMES = tuple(available("backends"))
MARKED = [pytest.param(n, marks=pytest.mark.torch if "torch" in n else ()) for n in NAMES]

CONVERTERS = {"onnx", "nas.exporting.onnx", "nas.exporting.tflite", "nas.exporting.tflite_file"}


def make(name: str, **options: Any) -> Backend:
    """Return a backend, or skip the test where its runtime is missing."""
    try:
        backend: Backend = create("backends", Plugin.parse(name), **{"threads": 1, **options})
    except MissingPackage as error:
        pytest.skip(str(error))
    return backend


def compiled(backend: Backend, units: Sequence[Unit]) -> bytes:
    try:
        return backend.compile(units)
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.fixture(params=MARKED)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of one backend after the other."""
    return str(request.param)


@pytest.fixture(params=DTYPES)
def backend(name: str, request: pytest.FixtureRequest) -> Backend:
    """Return one backend after the other, for each type of numbers that it has."""
    try:
        return make(name, dtype=request.param)
    except UnknownName as error:  # it says so: see the test of refused options
        pytest.skip(str(error))


def unit(shape: Shape = (8, 9, 9), name: str = "", **changes: Any) -> Unit:
    fields = {"kind": "mbconv", "in_channels": 8, "out_channels": 8, "hidden_channels": 16}
    if changes.get("kind", "mbconv") != "mbconv":
        del fields["hidden_channels"]
    return lower_block(Block(**{**fields, "kernel": 3, **changes}), shape, name=name)


UNITS = (
    unit(kind="conv", stride=2, act="hswish", in_channels=3, shape=(3, 16, 16)),
    unit(kind="conv", kernel=1, act="none"),
    unit(kind="separable", act="relu", out_channels=12),
    unit(hidden_channels=8, act="relu6"),
    unit(kernel=5, stride=2, se_channels=4, act="hswish", gate="hsigmoid"),
    unit(kernel=7, se_channels=2, act="swish", se_act="swish", skip="none"),
    unit(stride=2, skip="pool", shape=(8, 8, 8)),
    unit(act="sigmoid", skip="pool"),
    unit(kind="pool"),
    unit(kind="linear", out_channels=5, act="hsigmoid", shape=(8, 1, 1)),
    unit(kind="depthwise", stride=2),
    unit(kind="predict", out_channels=12, act="none"),
    unit(kind="upsample", kernel=1, stride=2),
    unit(kind="maxpool", stride=2),
    unit(kind="split", kernel=1, out_channels=4, first_channel=2),
    unit(kind="shuffle", kernel=1),
)
JOINED = (
    unit(name="0", kind="conv", kernel=1),
    unit(name="1", kind="depthwise"),
    replace(
        lower_block(
            Block(kind="add", in_channels=8, out_channels=8), (8, 9, 9), (8, 9, 9), name="2"
        ),
        inputs=("0", "1"),
    ),
    replace(
        lower_block(
            Block(kind="concat", in_channels=16, out_channels=16), (8, 9, 9), (8, 9, 9), name="3"
        ),
        inputs=("0", "2"),
    ),
    replace(unit(name="4", kind="conv", kernel=1, act="none"), inputs=("2",)),
)
"""Units of a graph with two ends."""
CHAIN = (
    unit(name="stem.0", kind="conv", stride=2, act="relu"),
    unit(name="stages.0.0", shape=(8, 5, 5), se_channels=4),
    unit(name="head.0", kind="pool", shape=(8, 5, 5)),
    unit(name="head.1", kind="linear", shape=(8, 1, 1), act="hswish", out_channels=12),
    unit(name="head.2", kind="linear", shape=(12, 1, 1), in_channels=12, act="none"),
)


def seconds(backend: Backend, units: Sequence[Unit]) -> float:
    return backend.open(compiled(backend, units))()


def test_the_backends_are_there() -> None:
    assert {"onnxruntime", "torch_cpu", "litert", "fake"} <= set(NAMES)


def test_the_first_line_says_what_it_runs(name: str) -> None:
    assert len(available("backends")[name]) > 20


def test_it_names_its_runtime_with_a_version_and_the_end_of_its_files(backend: Backend) -> None:
    assert re.search(r"\w+ \d", backend.runtime)
    assert backend.suffix.startswith(".")


def test_all_kinds_of_blocks_are_tried() -> None:
    assert {u.block.kind for u in (*UNITS, *JOINED)} == set(kinds_of_blocks())


@pytest.mark.parametrize("tried", UNITS, ids=lambda u: u.key)
def test_every_kind_of_unit_runs(backend: Backend, tried: Unit) -> None:
    taken = seconds(backend, [tried])
    assert isfinite(taken)
    assert taken > 0


def test_a_graph_runs(backend: Backend) -> None:
    assert isfinite(seconds(backend, JOINED))


def test_a_chain_of_units_runs(backend: Backend) -> None:
    assert seconds(backend, CHAIN) > 0


def test_a_model_is_the_same_every_time(backend: Backend) -> None:
    assert compiled(backend, CHAIN) == compiled(backend, CHAIN)


def test_a_model_opens_twice_and_runs_in_turns(backend: Backend) -> None:
    model = compiled(backend, CHAIN)
    first, second = backend.open(model), backend.open(model)
    assert min(first(), second(), first(), second()) > 0


def test_two_threads_run(name: str) -> None:
    assert seconds(make(name, threads=2), CHAIN) > 0


@pytest.mark.parametrize("options", [{"threads": 0}, {"dtype": "int3"}])
def test_options_it_does_not_have_are_refused(name: str, options: dict[str, Any]) -> None:
    key, value = next(iter(options.items()))
    with pytest.raises(NasError, match=rf"(?s){key}.*{value}") as caught:
        make(name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b"\0" * 64])
def test_what_is_no_model_is_refused_in_one_line(backend: Backend, content: bytes) -> None:
    with pytest.raises(NasError) as caught:
        backend.open(content)
    assert "\n" not in str(caught.value)


def test_a_target_needs_the_runtime_alone(backend: Backend, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{backend.suffix}"
    path.write_bytes(compiled(backend, CHAIN))
    dtype = getattr(backend, "dtype", "fp32")
    code = f"""
import pathlib, sys
sys.modules.update(dict.fromkeys({sorted(CONVERTERS)!r}))
from nas.core.plugins import Plugin, create
backend = create("backends", Plugin.parse({name!r}), threads=1, dtype={dtype!r})
assert backend.open(pathlib.Path({str(path)!r}).read_bytes())() > 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_unit_that_joins_maps_runs_alone(backend: Backend) -> None:
    small, wide = Block(kind="add", in_channels=8, out_channels=8), (4, 9, 9)
    joined = Block(kind="concat", in_channels=12, out_channels=12, act="none")
    for unit in (lower_block(small, (8, 9, 9), (8, 9, 9)), lower_block(joined, (8, 9, 9), wide)):
        assert isfinite(seconds(backend, [alone(replace(unit, name="unit"))]))
