"""Common parts of results and their pictures."""

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
    """Return date, machine and versions of a result, and its seconds if known."""
    taken = {} if seconds is None else {"seconds": round(seconds)}
    return {
        **taken,
        "date": date.today().isoformat(),
        "processor": cpu_name(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def significant(value: float, digits: int) -> float:
    """Return `value` rounded to `digits` digits, so that results do not depend on the machine."""
    return float(f"{value:.{digits}g}")


def rounded(content: Any, number: Callable[[float], float]) -> Any:
    """Return `content` with `number` applied to every floating-point number."""
    match content:
        case dict():
            return {key: rounded(value, number) for key, value in content.items()}
        case list() | tuple():
            return [rounded(value, number) for value in content]
        case float():
            return number(content)
    return content


def save(figure: Figure, path: Path, *, dpi: int = 160) -> None:
    """Write a picture reproducibly, byte for byte."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": "nas"})
