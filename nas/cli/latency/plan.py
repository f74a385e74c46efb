"""Show what a measurement needs: units, networks, time."""

import click

from nas.cli._print import print_json, print_table, say
from nas.cli.latency import _options as options
from nas.core.errors import NasError
from nas.latency.measure.plan import VALIDATION_NETWORKS
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, duration
from nas.report.tables import Table

_WHY = {
    "reference": "everything is divided by their drift",
    "fixed": "what any run costs",
    "unit": "entries of the table",
    "probe": "random units, for the operator model and shapes that were not measured",
    "calibration": "networks end to end, to fit the correction of units that are measured alone",
    "validation": "other networks end to end, to measure how far the table is off",
}


@click.command("plan")
@options.what(networks=VALIDATION_NETWORKS)
@options.target
@options.json_flag
def command(asked: options.ModelSelection, target: Target, as_json: bool) -> None:
    """Show which units a table of a space, some architectures or a front needs, and the time."""
    plan = asked.plan()
    try:
        seconds = duration(plan, target, Rounds())
    except NasError as error:
        say(f"no estimate of the time: {error}")
        seconds = None
    counts = {role: len(plan.of(role)) for role in dict.fromkeys(job.role for job in plan.jobs)}
    if as_json:
        jobs = [{"name": job.name, "role": job.role, "macs": job.macs} for job in plan.jobs]
        print_json(
            {"schema": 1, "name": plan.name, "counts": counts, "seconds": seconds, "jobs": jobs}
        )
        return
    rows = tuple((role, str(count), _WHY[role]) for role, count in counts.items())
    print_table(Table(title=plan.name, headings=("models", "count", "what for"), rows=rows))
    if seconds is not None:
        say(f"at most about {options.duration_text(seconds)} on this machine")
