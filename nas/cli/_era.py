"""The option --era of version 0.1, which now selects another table."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from nas.latency.eras import table_of_era


def era(option: str = "latency_table", *, default: str = "") -> Callable[[Any], Any]:
    """Add --era to a command, which receives the table that it selects.

    `option` is the parameter with the table, `default` its value if not given.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.option("--era", hidden=True)
        @wraps(function)
        def command(era: str | None, **given: Any) -> None:
            table = given[option] or default
            if era and table:
                given[option] = table_of_era(table, era)
            function(**given)

        return command

    return decorate
