"""Run a pipeline: search, train, NetAdapt, scale, export."""

from pathlib import Path

import click

from nas.cli._options import JSON
from nas.cli._places import ALLOW_PLUGINS, PATH
from nas.cli._print import print_json, print_table, say
from nas.cli._progress import progress
from nas.core.errors import missing_package
from nas.core.optional import optional
from nas.core.text import file_name
from nas.pipeline.config import read_pipeline
from nas.pipeline.result import networks_table


@click.command("pipeline")
@click.argument("config", metavar="RUN.yaml", type=PATH)
@click.option(
    "--out",
    type=PATH,
    help="The folder for all results; an existing pipeline resumes. [default: runs/NAME, or the "
    "file's out]",
)
@ALLOW_PLUGINS
@JSON
def command(config: Path, out: Path | None, allow_plugins: bool, as_json: bool) -> None:
    """Search, train, prune, scale and export as configured in RUN.yaml, and write one report.

    RUN.yaml has a section for each command, with its flags as keys. The results of finished
    stages are kept: the same command resumes after an interruption at any point.
    """
    asked = read_pipeline(config, allow_plugins=allow_plugins)
    folder = out or Path(asked.out or Path("runs") / file_name(config.stem, default="pipeline"))
    try:
        from nas.pipeline.run import run_pipeline
        from nas.pipeline.stages import Reporter
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas pipeline") from None
    try:
        result = run_pipeline(asked, folder, Reporter(say=say, progress=progress))
    except KeyboardInterrupt:
        say(f"stopped; everything so far is in {folder}: resume with the same command")
        raise
    if as_json:
        print_json(result.record())
        return
    with optional("the summary", say):
        print_table(networks_table(result))
        for note in result.notes:
            say(note)
