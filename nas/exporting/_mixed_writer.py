"""Write a TensorFlow Lite graph in int8 of which some layers stay in float.

Layers with weights are in float if they are named; other operators are, if all that they read is.
A value becomes bytes or floats where an operator needs it so, once, so that nothing is converted
between two neighbours in float.
"""

from collections.abc import Callable, Collection, Sequence

from nas.exporting._tflite_writer import TfliteWriter
from nas.exporting.tflite_file import Shape
from nas.exporting.walk import INPUT
from nas.network.layers import Add, Concat, Conv, Linear, MaxPool, Shuffle, Split, Upsample


class MixedWriter:
    """Writes each operator by a `TfliteWriter`, in int8 or in float."""

    def __init__(self, graph: TfliteWriter, floats: Collection[str]) -> None:
        """Write to `graph`, with the layers `floats` in float."""
        self.graph, self.floats = graph, frozenset(floats)
        self.as_floats: dict[int, int] = {}
        self.as_bytes: dict[int, int] = {}

    def begin(self, shape: Shape, name: str = INPUT) -> int:
        self.graph.integer = self.graph.bytes.input
        return self.graph.begin(shape, name)

    def end(self, name: str, x: int) -> int:
        """Make `x` an output of the graph called `name`; return its number."""
        return self.graph.end(name, self._bytes(x) if self.graph.bytes.output else x)

    def flat(self, x: int, name: str) -> int:
        return self._moved((x,), lambda given: self.graph.flat(given[0], name))

    def maps(self, x: int, name: str) -> int:
        return self._moved((x,), lambda given: self.graph.maps(given[0], name))

    def conv(self, x: int, name: str, layer: Conv) -> int:
        floats = name in self.floats
        return self._written((x,), floats, lambda given: self.graph.conv(given[0], name, layer))

    def linear(self, x: int, name: str, layer: Linear) -> int:
        floats = name in self.floats
        return self._written((x,), floats, lambda given: self.graph.linear(given[0], name, layer))

    def mean(self, x: int, name: str) -> int:
        return self._moved((x,), lambda given: self.graph.mean(given[0], name))

    def average(self, x: int, name: str, stride: int) -> int:
        return self._moved((x,), lambda given: self.graph.average(given[0], name, stride))

    def plus(self, x: int, y: int, name: str) -> int:
        return self._moved((x, y), lambda given: self.graph.plus(given[0], given[1], name))

    def times(self, x: int, gate: int, name: str) -> int:
        return self._moved((x, gate), lambda given: self.graph.times(given[0], given[1], name))

    def concat(self, maps: Sequence[int], name: str, layer: Concat) -> int:
        return self._moved(maps, lambda given: self.graph.concat(given, name, layer))

    def total(self, maps: Sequence[int], name: str, layer: Add) -> int:
        return self._moved(maps, lambda given: self.graph.total(given, name, layer))

    def upsample(self, x: int, name: str, layer: Upsample) -> int:
        return self._moved((x,), lambda given: self.graph.upsample(given[0], name, layer))

    def maxpool(self, x: int, name: str, layer: MaxPool) -> int:
        return self._moved((x,), lambda given: self.graph.maxpool(given[0], name, layer))

    def split(self, x: int, name: str, layer: Split) -> int:
        return self._moved((x,), lambda given: self.graph.split(given[0], name, layer))

    def shuffle(self, x: int, name: str, layer: Shuffle) -> int:
        return self._moved((x,), lambda given: self.graph.shuffle(given[0], name, layer))

    def predictions(self, x: int, name: str, numbers: int) -> int:
        return self._moved((x,), lambda given: self.graph.predictions(given[0], name, numbers))

    def stack(self, values: Sequence[int], name: str) -> int:
        return self._moved(values, lambda given: self.graph.stack(given, name))

    def _moved(self, inputs: Sequence[int], write: Callable[[Sequence[int]], int]) -> int:
        """Write an operator without weights."""
        floats = not any(self.graph.in_bytes(x) for x in inputs)
        return self._written(inputs, floats, write)

    def _written(
        self, inputs: Sequence[int], floats: bool, write: Callable[[Sequence[int]], int]
    ) -> int:
        given = [self._floats(x) if floats else self._bytes(x) for x in inputs]
        self.graph.integer = not floats
        return write(given)

    def _floats(self, x: int) -> int:
        """Return `x` as floats, converted where that is not done yet."""
        if not self.graph.in_bytes(x):
            return x
        if x not in self.as_floats:
            y = self.graph.as_float(x, f"{self.graph.tensors[x].name}.float")
            self.graph.wanted[y], self.as_floats[x] = self.graph.range(x), y
        return self.as_floats[x]

    def _bytes(self, x: int) -> int:
        """Return `x` as bytes, converted where that is not done yet."""
        if self.graph.in_bytes(x):
            return x
        if x not in self.as_bytes:
            self.graph.integer = True
            tensor, values = self.graph.tensors[x], self.graph.range(x)
            y = self.graph.add("QUANTIZE", (x,), f"{tensor.name}.q", tensor.shape, values)
            self.as_bytes[x] = self.graph.like(x, y)
        return self.as_bytes[x]
