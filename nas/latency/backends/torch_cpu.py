"""Torch models on the CPU, eager or compiled by torch.compile, fp32 only.

A model is what somebody gets who builds it with torch and calls `eval()`: batch normalisation is a
layer of its own, tensors have torch's usual layout (channels first), gradients are off. Nothing is
folded or converted; `torch.compile` fuses what it fuses by default. It needs a C++ compiler on the
target, seconds for a unit and a minute or more for a network: a whole space is for eager mode.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from nas.core import strict_json
from nas.core.errors import NasError, unknown
from nas.core.schema import SCHEMA, check_keys, check_schema
from nas.latency.backends import Backend, Run, check_options, timed
from nas.models.build import UnitModule
from nas.models.graph import Graph
from nas.network.blocks import Block, block_mapping
from nas.network.layers import Unit
from nas.network.lowering import inputs_of, lower_block, sources
from nas.network.weights import random_weights

MODES = ("eager", "compiled")

_PLACE = "the torch_cpu model"
_LONGEST_ERROR = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchCpu:
    """Runs torch models with `threads` threads; a model's file holds its units, not its weights."""

    threads: int
    mode: str
    suffix: str = ".json"

    @property
    def runtime(self) -> str:
        """The runtime, its mode and its version."""
        return f"torch {torch.__version__} {self.mode}"

    def compile(self, units: Sequence[Unit]) -> bytes:
        """Return `units` as JSON; the model is built where it is opened."""
        rows = [{**_plain(unit), "inputs": names} for unit, names in sources(units)]
        return strict_json.dumps({"schema": SCHEMA, "units": rows}).encode()

    def open(self, model: bytes) -> Run:
        """Return the function that runs `model`, with random weights, on one random input.

        Raises:
            NasError: if `model` is not what `compile` returns, or torch cannot compile it.
        """
        units = _read(model)
        with _threads(self.threads), torch.inference_mode():
            network = _build(units)
            generator = torch.Generator().manual_seed(0)
            shapes = inputs_of(units).values()
            images = tuple(torch.randn(1, *shape, generator=generator) for shape in shapes)
            call = _compiled(network, images) if self.mode == "compiled" else network
            call(*images)
        run_once = timed(lambda: call(*images), threads=self.threads)

        def run() -> float:
            with _threads(self.threads), torch.inference_mode():
                return run_once()

        return run


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the threads of torch, which are the same for everything in the process, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read(model: bytes) -> tuple[Unit, ...]:
    try:
        content = strict_json.parse(model)
    except ValueError:
        content = None
    if not isinstance(content, Mapping):
        raise NasError(f"{_PLACE} is not JSON with units; make it with the same backend")
    check_keys(content, known=("schema", "units"), required=("schema", "units"), place=_PLACE)
    check_schema(content, place=_PLACE)
    try:
        units = tuple(_unit(row) for row in content["units"])
    except (TypeError, KeyError, ValueError) as error:
        raise NasError(f"{_PLACE} has a broken unit: {error}") from None
    if not units:
        raise NasError(f"{_PLACE} has no units")
    return units


def _plain(unit: Unit) -> dict[str, Any]:
    return {
        "name": unit.name,
        "in_shapes": [list(shape) for shape in unit.in_shapes],
        "block": block_mapping(unit.block),
    }


def _unit(row: Mapping[str, Any]) -> Unit:
    shapes = [(channels, height, width) for channels, height, width in row["in_shapes"]]
    block = Block(**row["block"], inputs=tuple(row["inputs"]))
    return lower_block(block, *shapes, name=row["name"])


def _build(units: Sequence[Unit]) -> nn.Module:
    with torch.device("meta"):  # draws nothing from torch's own random numbers
        modules = [UnitModule(unit, dropout=0.0, drop_connect=0.0) for unit in units]
    for number, (unit, module) in enumerate(zip(units, modules, strict=True)):
        weights = random_weights([replace(unit, name="")], seed=number)
        tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
        module.to_empty(device="cpu")
        module.load_state_dict(tensors, strict=False)  # counters of batches are no weights
    if any(len(unit.in_shapes) > 1 for unit in units):
        return Graph(units, modules).eval()
    return nn.Sequential(*modules).eval()


def _compiled(network: nn.Module, images: tuple[torch.Tensor, ...]) -> Any:
    """Return `network` compiled for the shapes of `images`.

    It is traced first, which gives every network code of its own: torch counts how often the same
    code is compiled, and after a few times silently runs it uncompiled.
    """
    call = torch.compile(torch.fx.symbolic_trace(network), fullgraph=True, dynamic=False)
    try:
        call(*images)
    except Exception as error:  # the compiler's errors share no base but Exception
        words = " ".join(str(error).split())[:_LONGEST_ERROR]
        raise NasError(f"torch cannot compile the model: {words}") from None
    return call


def create(*, threads: int = 1, dtype: str = "fp32", mode: str = "eager") -> Backend:
    """Return the backend; `mode` is "eager" or "compiled".

    Raises:
        NasError: if `threads`, `dtype` or `mode` is none it has.
    """
    check_options("torch_cpu", threads=threads, dtype=dtype, dtypes=("fp32",))
    if mode not in MODES:
        raise unknown("mode of backend torch_cpu", mode, MODES)
    return TorchCpu(threads=threads, mode=mode)
