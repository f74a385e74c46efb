"""Processors whose int8 sums overflow by default, and the option that widens them."""

import pytest

from nas.core.exact_int8 import OPTIONS, overflows


@pytest.mark.parametrize(
    ("instruction_sets", "expected"),
    [
        (("sse4_2", "avx", "avx2", "fma"), True),
        (("sse4_2", "avx", "avx2", "avx512f"), True),
        (("sse4_2", "avx", "avx2", "avx_vnni"), False),
        (("sse4_2", "avx", "avx512f", "avx512_vnni"), False),
        (("neon", "asimd", "asimddp"), False),
        ((), False),  # the system does not say
    ],
)
def test_x86_without_vnni_overflows(instruction_sets: tuple[str, ...], expected: bool) -> None:
    assert overflows(instruction_sets) == expected


def test_onnxruntime_knows_the_option_and_gives_it_back() -> None:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    for option in OPTIONS.items():
        options.add_session_config_entry(*option)
    assert {name: options.get_session_config_entry(name) for name in OPTIONS} == dict(OPTIONS)
