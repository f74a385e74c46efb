"""Write a measurement as one zip, for a device with little on it."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli._progress import progress
from nas.cli.latency import _options as options
from nas.latency.measure.bundle import write_bundle
from nas.latency.measure.run import Target

_NETWORKS = 50


@click.command("bundle")
@options.what(networks=_NETWORKS)
@click.option("--out", type=PATH, required=True, help="The zip.")
@click.option("--backend", default="onnxruntime", show_default=True, help="onnxruntime or litert.")
@click.option("--dtype", default="fp32", show_default=True, help="fp32 or int8.")
@options.json_flag
def command(
    asked: options.ModelSelection, out: Path, backend: str, dtype: str, as_json: bool
) -> None:
    """Write the models of a measurement with all that runs them into one zip.

    The target needs Python, numpy and the runtime, and neither this package nor torch.
    """
    plan, target = asked.plan(), Target(backend=backend, dtype=dtype)
    with progress("writing", "models") as report:
        refused = write_bundle(plan, out, target=target, report=report)
    if as_json:
        models, size = len(plan.jobs) - len(refused), out.stat().st_size
        facts = {"models": models, "bytes": size, "left_out": list(refused)}
        print_json({"schema": 1, "path": str(out), **facts})
        return
    for text in refused:
        say(f"left out: {text}")
    say(f"wrote {out} ({out.stat().st_size / 1e6:.0f} MB); on the target:")
    say(f"  python {out.name} --threads 1 --out samples.jsonl")
    say("and with what it wrote: nas latency build samples.jsonl --out my_cpu.yaml")
