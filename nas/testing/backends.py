"""What every backend keeps to: every kind of unit runs, and a model is the same every time."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.core.errors import NasError, UnknownName
from nas.core.plugins import Plugin, create
from nas.latency.backends import DTYPES, Backend, check_model, check_run
from nas.network.blocks import Block
from nas.network.layers import Shape, Unit
from nas.network.lowering import alone, lower_block

CONVERTERS = ("onnx", "nas.exporting.onnx", "nas.exporting.tflite", "nas.exporting.tflite_file")
"""What a target that runs models does without."""
_NO_MODELS = (b"", b"garbage", b"{}", b"\0" * 64)


def _unit(shape: Shape = (8, 9, 9), name: str = "", **changes: Any) -> Unit:
    """Return one unit, an MBConv block but for its `changes`."""
    fields = {"kind": "mbconv", "in_channels": 8, "out_channels": 8, "hidden_channels": 16}
    if changes.get("kind", "mbconv") != "mbconv":
        del fields["hidden_channels"]
    return lower_block(Block(**{**fields, "kernel": 3, **changes}), shape, name=name)


UNITS = (
    _unit(kind="conv", stride=2, act="hswish", in_channels=3, shape=(3, 16, 16)),
    _unit(kind="conv", kernel=1, act="none"),
    _unit(kind="separable", act="relu", out_channels=12),
    _unit(hidden_channels=8, act="relu6"),
    _unit(kernel=5, stride=2, se_channels=4, act="hswish", gate="hsigmoid"),
    _unit(kernel=7, se_channels=2, act="swish", se_act="swish", skip="none"),
    _unit(stride=2, skip="pool", shape=(8, 8, 8)),
    _unit(act="sigmoid", skip="pool"),
    _unit(kind="pool"),
    _unit(kind="linear", out_channels=5, act="hsigmoid", shape=(8, 1, 1)),
    _unit(kind="depthwise", stride=2),
    _unit(kind="predict", out_channels=12, act="none"),
    _unit(kind="upsample", kernel=1, stride=2),
    _unit(kind="maxpool", stride=2),
    _unit(kind="split", kernel=1, out_channels=4, first_channel=2),
    _unit(kind="shuffle", kernel=1),
)
JOINED = (
    _unit(name="0", kind="conv", kernel=1),
    _unit(name="1", kind="depthwise"),
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
    replace(_unit(name="4", kind="conv", kernel=1, act="none"), inputs=("2",)),
)
"""Units of a graph with two ends."""
CHAIN = (
    _unit(name="stem.0", kind="conv", stride=2, act="relu"),
    _unit(name="stages.0.0", shape=(8, 5, 5), se_channels=4),
    _unit(name="head.0", kind="pool", shape=(8, 5, 5)),
    _unit(name="head.1", kind="linear", shape=(8, 1, 1), act="hswish", out_channels=12),
    _unit(name="head.2", kind="linear", shape=(12, 1, 1), in_channels=12, act="none"),
)


def make(text: str, **options: Any) -> Backend:
    """Return the backend that `text` names."""
    made: Backend = create("backends", Plugin.parse(text), **{"threads": 1, **options})
    return made


def each(text: str) -> Iterator[Backend]:
    """Yield the backend for each type of numbers that it has."""
    found = 0
    for dtype in DTYPES:
        try:
            backend = make(text, dtype=dtype)
        except UnknownName:  # it says so
            continue
        found += 1
        yield backend
    assert found, f"it has none of the types {', '.join(DTYPES)}"


def seconds(backend: Backend, units: Sequence[Unit]) -> float:
    """Return the time of one run of `units`."""
    model = check_model(backend.compile(units), name="under test")
    return check_run(backend.open(model), name="under test")()


def it_names_its_runtime_and_the_end_of_its_files(text: str) -> None:
    """It names its runtime with a version, and the end of its files with a dot."""
    for backend in each(text):
        assert re.search(r"\w+ \d", backend.runtime), f"runtime is {backend.runtime!r}"
        assert backend.suffix.startswith("."), f"suffix is {backend.suffix!r}"


def every_kind_of_unit_runs(text: str) -> None:
    """Every kind of unit runs alone."""
    for backend in each(text):
        for tried in UNITS:
            assert isfinite(seconds(backend, [tried])), tried.key


def a_graph_and_a_chain_run(text: str) -> None:
    """Units that join others run, and so does a whole network."""
    for backend in each(text):
        assert isfinite(seconds(backend, JOINED))
        assert isfinite(seconds(backend, CHAIN))


def a_unit_that_joins_maps_runs_alone(text: str) -> None:
    """A unit that reads several maps runs alone."""
    small, wide = Block(kind="add", in_channels=8, out_channels=8), (4, 9, 9)
    joined = Block(kind="concat", in_channels=12, out_channels=12, act="none")
    units = lower_block(small, (8, 9, 9), (8, 9, 9)), lower_block(joined, (8, 9, 9), wide)
    for backend in each(text):
        for unit in units:
            assert isfinite(seconds(backend, [alone(replace(unit, name="unit"))]))


def a_model_is_the_same_every_time(text: str) -> None:
    """The same units give the same file."""
    for backend in each(text):
        assert backend.compile(CHAIN) == backend.compile(CHAIN)


def a_model_opens_twice_and_runs_in_turns(text: str) -> None:
    """A model opens twice, and both run in turns."""
    for backend in each(text):
        model = backend.compile(CHAIN)
        first, second = backend.open(model), backend.open(model)
        assert min(first(), second(), first(), second()) > 0


def two_threads_run(text: str) -> None:
    """Two threads run."""
    assert seconds(make(text, threads=2), CHAIN) > 0


def options_it_does_not_have_are_refused(text: str) -> None:
    """No threads, and an unknown type of numbers, are refused in one line that names them."""
    for key, value in (("threads", 0), ("dtype", "int3")):
        said = ""
        try:
            make(text, **{key: value})
        except NasError as error:
            said = str(error)
        assert key in said, f"{key}={value} is taken, or refused without naming it: {said!r}"
        assert str(value) in said, f"{key}={value} is refused without naming it: {said!r}"
        assert "\n" not in said


def what_is_no_model_is_refused(text: str) -> None:
    """What is no model is refused in one line."""
    for backend in each(text):
        for content in _NO_MODELS:
            said = ""
            try:
                backend.open(content)
            except NasError as error:
                said = str(error)
            assert said, f"{content!r} was opened"
            assert "\n" not in said


def a_target_needs_the_runtime_alone(text: str) -> None:
    """A model opens without the packages that convert networks, as on a device."""
    for backend in each(text):
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"model{backend.suffix}"
            path.write_bytes(backend.compile(CHAIN))
            dtype = getattr(backend, "dtype", "fp32")
            code = f"""
import pathlib, sys
sys.modules.update(dict.fromkeys({sorted(CONVERTERS)!r}))
from nas.core.plugins import Plugin, create
backend = create("backends", Plugin.parse({text!r}), threads=1, dtype={dtype!r})
assert backend.open(pathlib.Path({str(path)!r}).read_bytes())() > 0
"""
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


CHECKS = (
    it_names_its_runtime_and_the_end_of_its_files,
    every_kind_of_unit_runs,
    a_graph_and_a_chain_run,
    a_unit_that_joins_maps_runs_alone,
    a_model_is_the_same_every_time,
    a_model_opens_twice_and_runs_in_turns,
    two_threads_run,
    options_it_does_not_have_are_refused,
    what_is_no_model_is_refused,
    a_target_needs_the_runtime_alone,
)
"""In the order in which they are run."""
