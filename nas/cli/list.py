"""List spaces, tables, architectures, recipes and plugins."""

import click

from nas.cli._print import print_json, print_table
from nas.core import data, plugins
from nas.core.errors import unknown
from nas.report.tables import Table
from nas.training.recipes import descriptions

_FILES = {
    "spaces": "search_spaces",
    "tables": "latency_tables",
    "architectures": "architectures",
}
_PLUGINS = {kind: kind for kind in plugins.KINDS if kind != "datasets"} | {"data": "datasets"}


@click.command("list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(kind: str | None, as_json: bool) -> None:
    """List spaces, tables, architectures, recipes, and every kind of plugin.

    KIND is one of these; without it all are listed.
    """
    kinds = (*_FILES, "recipes", *_PLUGINS)
    if kind is not None and kind not in kinds:
        raise unknown("kind", kind, kinds)
    found = {name: _entries(name) for name in ((kind,) if kind else kinds)}
    if as_json:
        print_json({"schema": 1, **found})
        return
    for name, entries in found.items():
        rows = tuple(entries.items())
        print_table(Table(title=f"\n{name}", headings=("name", "what it is"), rows=rows))


def _entries(kind: str) -> dict[str, str]:
    if kind in _PLUGINS:
        return dict(plugins.available(_PLUGINS[kind]))
    if kind == "recipes":
        return dict(descriptions())
    files = data.bundled(_FILES[kind])
    return {name: data.first_comment(path) for name, path in files.items()}
