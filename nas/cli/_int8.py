"""Advice on what to do next with a solution that was found for int8."""

from nas.cli._data import as_word
from nas.searching.runs.folder import dtype_of
from nas.space.space import INT8


def next_in_int8(arch: str) -> str:
    """Return what to do next with the solution `arch`; "" if it is for fp32."""
    if dtype_of(arch) != INT8:
        return ""
    return (
        f"found for int8: nas train {as_word(arch)} --data D --out T, "
        "then nas quantize T --data D --out Q"
    )
