"""Scale a network, or search for the best scaling (nas scale search)."""

from typing import Any

import click

from nas.cli.scale.network import network
from nas.cli.scale.search import search


class _Scale(click.Command):
    """Scales a network, unless the first word is "search"."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of the command that the first word selects."""
        if args[:1] == ["search"]:
            return search.make_context(f"{info_name} search", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


command = _Scale(
    "scale",
    params=network.params,
    callback=network.callback,
    help=network.help,
    epilog="To search for alpha, beta and gamma: nas scale search --help",
)
