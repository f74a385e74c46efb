"""List spaces, tables, architectures, recipes, published weights and plugins."""

from collections.abc import Mapping
from typing import Any

import click

from nas.cli._print import print_json, print_table
from nas.core import data, plugins
from nas.core.errors import unknown
from nas.network.zoo import DETECTORS
from nas.report.tables import Table
from nas.training.foreign import known_weights, where_cached
from nas.training.recipes import descriptions

_FILES = {
    "spaces": "search_spaces",
    "tables": "latency_tables",
    "architectures": "architectures",
    "detectors": DETECTORS,
}
_PLUGINS = {kind: kind for kind in plugins.KINDS if kind != "datasets"} | {"data": "datasets"}


@click.command("list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(kind: str | None, as_json: bool) -> None:
    """List spaces, tables, architectures, recipes, published weights, and plugins of every kind.

    KIND is one of these; without it, all are listed.
    """
    kinds = (*_FILES, "recipes", "weights", *_PLUGINS)
    if kind is not None and kind not in kinds:
        raise unknown("kind", kind, kinds)
    found = {name: _entries(name) for name in ((kind,) if kind else kinds)}
    if as_json:
        print_json({"schema": 1, **found})
        return
    for name, entries in found.items():
        print_table(_weights_table(entries) if name == "weights" else _table(name, entries))


def _table(name: str, entries: Mapping[str, str]) -> Table:
    headings = ("name", "what it is")
    return Table(title=f"\n{name}", headings=headings, rows=tuple(entries.items()))


def _weights_table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = (
        (
            name,
            found["architecture"],
            f"{100 * found['top1']:.2f}",
            found["licence"],
            found["cached"] or "not cached",
        )
        for name, found in entries.items()
    )
    headings = ("name", "architecture", "published top-1 %", "licence", "where")
    return Table(title="\nweights", headings=headings, rows=tuple(rows))


def _weights() -> dict[str, dict[str, Any]]:
    """Return the known published weights, by the value for `--weights`."""
    return {
        weights.source: {
            "architecture": arch,
            "top1": weights.top1,
            "licence": weights.licence,
            "cached": str(path) if (path := where_cached(weights.source)) else None,
        }
        for arch, found in known_weights().items()
        for weights in found
    }


def _entries(kind: str) -> dict[str, Any]:
    if kind == "weights":
        return _weights()
    if kind in _PLUGINS:
        return dict(plugins.available(_PLUGINS[kind]))
    if kind == "recipes":
        return dict(descriptions())
    files = data.bundled(_FILES[kind])
    return {name: data.first_comment(path) for name, path in files.items()}
