"""Options that several commands share, and a helper for options that show their default."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

COUNT, WHOLE = click.IntRange(min=1), click.IntRange(min=0)
RATE = click.FloatRange(min=0, min_open=True)
RECIPE = "A name (nas list recipes), NAME:key=value,... or a YAML file."
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def option(name: str, default: Any, text: str | None = None, kind: Any = None) -> Callable[[F], F]:
    """Return the option `name`, whose help is `text` and the default."""
    return click.option(name, default=default, show_default=True, help=text, type=kind)
