"""What results and their pictures have in common."""

import platform
from collections.abc import Callable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nas.core.files import atomic_path
from nas.core.machine import cpu_name

BLUE, RED, GREEN, OCHRE, GREY = "#1f6fb4", "#c8442c", "#3a9d5d", "#b07c1e", "#888888"


def circumstances(packages: Sequence[str], seconds: float | None = None) -> dict[str, Any]:
    """Return when, where and with what a result was made, and how long it took if that is known."""
    taken = {} if seconds is None else {"seconds": round(seconds)}
    return {
        **taken,
        "date": date.today().isoformat(),
        "processor": cpu_name(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def significant(value: float, digits: int) -> float:
    """Return `value` to so many digits, so that the last bits of a machine do not show."""
    return float(f"{value:.{digits}g}")


def rounded(content: Any, number: Callable[[float], float]) -> Any:
    """Return `content` with `number` of all its floating-point numbers."""
    match content:
        case dict():
            return {key: rounded(value, number) for key, value in content.items()}
        case list() | tuple():
            return [rounded(value, number) for value in content]
        case float():
            return number(content)
    return content


def save(figure: Figure, path: Path, *, dpi: int = 160) -> None:
    """Write a picture: the same picture, the same bytes."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": "nas"})
