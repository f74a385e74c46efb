"""The option --era of version 0.1, which stands for another table now."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from nas.latency.eras import table_of_era


def era(option: str = "latency_table", *, default: str = "") -> Callable[[Any], Any]:
    """Let a command take --era without knowing of it: it is given the table that is meant.

    `option` is the parameter with the table, `default` what the command takes without one.
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
