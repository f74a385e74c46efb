"""Write a page about a run, or serve one that follows it."""

from pathlib import Path

import click

from nas.cli._data import as_word
from nas.cli._places import PATH
from nas.cli._print import print_json, put, say
from nas.core.errors import NasError
from nas.core.files import write_text

PORT = 8750


@click.command("report")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out",
    type=PATH,
    help="The file to write. [default: report.html in the folder, or beside the table]",
)
@click.option(
    "--serve", is_flag=True, help="Serve the page on 127.0.0.1, and follow what goes on there."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True,
    help="The port of --serve; 0 for any that is free.",
)  # fmt: skip
@click.option(
    "--latex",
    is_flag=True,
    help="Print a table of several searches instead: mean and deviation over the seeds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    runs: tuple[str, ...], out: Path | None, serve: bool, port: int, latex: bool, as_json: bool
) -> None:
    """Write one HTML file about RUN, which opens anywhere and fetches nothing.

    RUN is the folder, or the URL, of nas search, train, supernet train, netadapt, scale search,
    pipeline or quantize, or a latency table. What it was made with (images, torch, evaluators)
    need not be there, and it may still be going on.
    """
    if latex or len(runs) > 1:
        if out or serve or not latex:
            raise NasError("a page is of one run; --latex makes a table of several")
        _print_seeds(runs, as_json)
        return
    from nas.pipeline.pages import page_file, page_of
    from nas.report.page import rendered

    if serve:
        _serve(runs[0], port)
        return
    path = out or page_file(runs[0])
    text = rendered(page_of(runs[0]))
    write_text(path, text)
    if as_json:
        print_json({"schema": 1, "run": runs[0], "page": str(path), "bytes": len(text.encode())})
    else:
        say(f"wrote {path}, {_size(len(text.encode()))}; open it in a browser")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def _serve(run: str, port: int) -> None:
    """Serve until Ctrl-C."""
    from nas.pipeline.serve import server

    with server(run, port) as serving:
        host, number = serving.server_address[:2]
        say(f"serving {run} at http://{host!s}:{number}/, as it changes; Ctrl-C ends it")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            say(f"stopped; nas report {as_word(run)} writes the page into a file")


def _print_seeds(runs: tuple[str, ...], as_json: bool) -> None:
    from nas.report.seeds import latex_table, seed_rows

    rows = seed_rows(runs)
    if as_json:
        print_json({"schema": 1, "rows": [row.record() for row in rows]})
    else:
        put(latex_table(rows))
