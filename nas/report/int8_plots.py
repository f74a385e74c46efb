"""The picture of how sensitive layers are to int8."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nas.report._drawing import FOUND, KNOWN, drawing, plain

_MIN_INCHES, _INCHES_A_LAYER = 2.4, 0.15


def draw_sensitivity(
    noise: Mapping[str, float], floats: Collection[str], paths: Sequence[Path], *, title: str
) -> None:
    """Draw, for every layer, how far the outputs move if it alone is quantized.

    Those left in float have another colour.
    """
    names = list(noise)[::-1]
    height = _MIN_INCHES + _INCHES_A_LAYER * len(names)
    with drawing(paths, 7.4, height) as (figure, axes):
        values = [max(noise[name], 1e-12) for name in names]
        colours = [KNOWN if name in floats else FOUND for name in names]
        axes.barh(range(len(names)), values, color=colours)
        axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=6)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xscale("log")
        axes.set_xlabel("squared error of the outputs over their square, one layer in int8")
        axes.set_title(plain(title), fontsize=9)
        axes.grid(alpha=0.25, axis="x")
        if floats:
            figure.text(0.99, 0.005, "red: left in float", ha="right", fontsize=7, color=KNOWN)
