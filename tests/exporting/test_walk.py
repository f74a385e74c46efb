"""The walk over operators from which every graph is written."""

from typing import Any

from nas.exporting.walk import walk
from nas.network.blocks import Block
from nas.network.lowering import lower_chain


class Recorder:
    """Writes the names of operators and of their inputs; a result is named after its operator."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def __getattr__(self, operator: str) -> Any:
        def write(x: str, name: str, *more: Any) -> str:
            values = [value for value in (x, name, *more) if isinstance(value, str)]
            self.written.append(f"{values.pop()} = {operator}({', '.join(values)})")
            return self.written[-1].partition(" ")[0]

        return write


def test_operators_come_in_the_order_of_the_forward_pass() -> None:
    body = {"in_channels": 4, "out_channels": 4}
    blocks = (
        Block(kind="mbconv", **body, hidden_channels=8, kernel=3, se_channels=2, stride=2,
              skip="pool"),
        Block(kind="pool", **body),
        Block(kind="linear", **body),
    )  # fmt: skip
    recorder = Recorder()
    assert walk(lower_chain(blocks, (4, 8, 8)), recorder, "input") == ("flat",)
    assert recorder.written == [
        "0.maps = maps(input)",
        "0.expand.maps = maps(0.maps)",
        "0.expand = conv(0.expand.maps)",
        "0.depthwise.maps = maps(0.expand)",
        "0.depthwise = conv(0.depthwise.maps)",
        "0.squeeze.maps = maps(0.depthwise)",
        "0.squeeze.pool = mean(0.squeeze.maps)",
        "0.squeeze.reduce = conv(0.squeeze.pool)",
        "0.squeeze.expand = conv(0.squeeze.reduce)",
        "0.squeeze = times(0.squeeze.maps, 0.squeeze.expand)",
        "0.project.maps = maps(0.squeeze)",
        "0.project = conv(0.project.maps)",
        "0.shortcut = average(0.maps)",
        "0.add = plus(0.shortcut, 0.project)",
        "1.pool.maps = maps(0.add)",
        "1.pool = mean(1.pool.maps)",
        "2.linear.flat = flat(1.pool)",
        "2.linear = linear(2.linear.flat)",
        "flat = flat(2.linear)",
    ]
