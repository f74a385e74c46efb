"""LiteRT: XNNPACK runs the whole graph in fp32, and all but h-swish in int8."""

import pytest

from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

from nas.latency.backends.litert import create  # noqa: E402  # skipped above where there is no LiteRT


def delegates(name: str, dtype: str) -> tuple[int, bool]:
    """Return how many parts of a network XNNPACK runs, and whether the first is all of it."""
    units = lower(scale_resolution(load_architecture(name), 64))
    opened = interpreter.Interpreter(
        model_content=create(dtype=dtype).compile(units), num_threads=1
    )
    opened.allocate_tensors()
    found = [row for row in opened._get_ops_details() if row["op_name"] == "DELEGATE"]
    ends = (opened.get_input_details()[0]["index"], opened.get_output_details()[0]["index"])
    whole = ends[0] in found[0]["inputs"] and ends[1] in found[0]["outputs"]
    return len(found), whole


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("mobilenet_v2", "fp32"), ("mobilenet_v3_large", "fp32"), ("efficientnet_b0", "fp32"),
        ("mobilenet_v2", "int8"), ("mnasnet_a1", "int8"), ("efficientnet_b0", "int8"),
    ],
)  # fmt: skip
def test_xnnpack_runs_the_whole_network(name: str, dtype: str) -> None:
    assert delegates(name, dtype) == (1, True)


def test_hswish_in_int8_is_left_to_another_kernel() -> None:
    assert delegates("mobilenet_v3_large", "int8") == (22, False)  # it has 21 of them
