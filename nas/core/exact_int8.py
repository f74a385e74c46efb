"""How onnxruntime computes an int8 graph alike on all processors.

x86 processors without VNNI add pairs of products in 16 bits, which overflow with weights of 8 bits.
There, this option of a session makes onnxruntime take wider sums; it changes nothing on others.
"""

from collections.abc import Collection, Mapping

OPTIONS: Mapping[str, str] = {"session.x64quantprecision": "1"}
"""Entries for `onnxruntime.SessionOptions.add_session_config_entry`."""


def overflows(instruction_sets: Collection[str]) -> bool:
    """Return whether int8 overflows without `OPTIONS` on a processor, by its instruction sets."""
    return "sse4_2" in instruction_sets and not any("vnni" in name for name in instruction_sets)
