"""Backends: each file here runs units on one runtime, and is that runtime's name."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from nas.core.errors import BadPlugin, NasError, unknown

if TYPE_CHECKING:  # a device that measures a bundle has no layers
    from nas.network.layers import Unit

Run = Callable[[], float]
"""Runs a model once on the same input, batch size 1, and returns the seconds that took."""

DTYPES = ("fp32", "int8")

_GRAPHS = {("onnxruntime", "int8"): "QDQ 2"}
"""Versions of graphs that were written otherwise before: there h-swish was in float."""

_FINE_SECONDS = 1e-6
_MIN_SHARE = 0.1


class Backend(Protocol):
    """Turns units into models of one runtime and runs them; what `create()` here returns.

    `compile` is called once per model and may need packages for conversion; `open` is called once
    or more with the result, perhaps on another machine, and needs the runtime alone. Both must be
    deterministic, and must not change global settings that another backend would notice. `create`
    takes `threads` and `dtype` as keywords, and refuses what it does not support.
    """

    @property
    def runtime(self) -> str:
        """The runtime and its version, as in "onnxruntime 1.31.1"."""

    @property
    def suffix(self) -> str:
        """The usual end of the name of a model's file, with the dot."""

    def compile(self, units: "Sequence[Unit]") -> bytes:
        """Return consecutive units, with random weights, as the content of a model's file.

        Raises:
            NasError: if a unit is beyond the runtime or its converter; it says what.
            MissingPackage: if the converter is not installed.
        """

    def open(self, model: bytes) -> Run:
        """Return the function that runs `model`; dropping it frees what it holds.

        Raises:
            NasError: if the runtime refuses the model, with its own message.
        """


def graph_of(backend: str, dtype: str) -> str:
    """Return the version of the graphs that a backend, by its text, is given; "" for the first.

    Times of other versions are not comparable.
    """
    return _GRAPHS.get((backend.partition(":")[0], dtype), "")


def check_model(model: object, *, name: str) -> bytes:
    """Return what a backend compiled.

    Raises:
        BadPlugin: if it is not the content of a file.
    """
    if not isinstance(model, bytes) or not model:
        found = "nothing" if model == b"" else type(model).__name__
        raise BadPlugin(f"backend {name}: compile gave {found}; expected the bytes of a file")
    return model


def check_run(run: object, *, name: str) -> Run:
    """Return the function that a backend opened a model as, whose seconds are checked.

    Raises:
        BadPlugin: if it is no function; when it is called, if what it gives are no seconds.
    """
    if not callable(run):
        found = type(run).__name__
        raise BadPlugin(f"backend {name}: open gave {found}; expected a function of no arguments")

    def checked() -> float:
        seconds: Any = run()
        number = isinstance(seconds, float | int) and not isinstance(seconds, bool)
        if not number or not 0 < seconds < inf:
            raise BadPlugin(f"backend {name}: a run gave {seconds!r}; expected seconds above 0")
        return float(seconds)

    return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBackend:
    """A backend by its name, whose models and times are checked."""

    name: str
    backend: Backend

    @property
    def runtime(self) -> str:
        """That of the backend."""
        return self.backend.runtime

    @property
    def suffix(self) -> str:
        """That of the backend."""
        return self.backend.suffix

    def compile(self, units: "Sequence[Unit]") -> bytes:
        """Return what the backend makes of `units`."""
        return check_model(self.backend.compile(units), name=self.name)

    def open(self, model: bytes) -> Run:
        """Return what the backend opens `model` as."""
        return check_run(self.backend.open(model), name=self.name)


def timed(call: Callable[[], object], *, threads: int) -> Run:
    """Return a function that calls `call` once and returns the seconds it took.

    With one thread that is the thread's processor time, without what other processes took in
    between; with more, or where the system counts that too coarsely, it is the time on the clock.
    So it is where nearly all of that is missing: virtual machines take off more than was lost.
    """
    fine = time.get_clock_info("thread_time").resolution <= _FINE_SECONDS

    def run() -> float:
        start, own = time.perf_counter(), time.thread_time()
        call()
        own, taken = time.thread_time() - own, time.perf_counter() - start
        return own if threads == 1 and fine and own >= _MIN_SHARE * taken else taken

    return run


def check_options(name: str, *, threads: int, dtype: str, dtypes: Sequence[str] = DTYPES) -> None:
    """Refuse a number of threads below 1 and a type of numbers that a backend does not have.

    Raises:
        NasError: saying what there is.
    """
    if threads < 1:
        raise NasError(f"backend {name}: threads must be 1 or more, not {threads}")
    if dtype not in dtypes:
        raise unknown(f"dtype of backend {name}", dtype, dtypes)
