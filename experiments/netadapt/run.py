"""Compare NetAdapt with uniform narrowing and with NetAdapt by MACs, at one predicted latency.

python experiments/netadapt/run.py [--seeds 3] [--data digits] [--out runs/netadapt_experiment]

Writes result.yaml and result.png beside itself; a run that was broken off goes on. With --small it
shows in a minute or two that all parts work, and writes into the run folder only.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from running import circumstances

from nas.arch import Architecture
from nas.checkpoint import Checkpoint, load_checkpoint
from nas.cost import cost
from nas.data import write_text
from nas.latency import LatencyTable
from nas.latency_file import load_table
from nas.measuring.plan import plan_check
from nas.measuring.rounds import Rounds
from nas.measuring.run import measure_plan
from nas.measuring.speedup import target_like
from nas.nn.data import Data, load_data
from nas.nn.fine_tune import held_out
from nas.nn.job import Options
from nas.nn.netadapt import netadapt
from nas.nn.netadapt_job import Job
from nas.nn.recipes import Recipe, adapt, quick
from nas.nn.score import score
from nas.nn.task import for_classes
from nas.nn.train import fit_recipe, train
from nas.nn.trained import network_of
from nas.pruning.channels import Group, groups, narrowed
from nas.pruning.netadapt import Settings, cuts_of
from nas.pruning.proposals import Cuts, latency_meter
from nas.pruning.slicing import sliced, strongest
from nas.scaling import scale_resolution
from nas.zoo import load_architecture

HERE = Path(__file__).resolve().parent
DATA = ("digits", "shapes:count=3000,difficulty=0")
FACTOR_STEP = 0.01
GENTLER = 4
"""By how much fine-tuning is gentler than the recipe's training."""
WORDS = {
    "start": "before pruning",
    "netadapt": "NetAdapt by the table",
    "macs": "NetAdapt by MACs",
    "uniform": "uniform, steps of NetAdapt's network",
    "uniform_long": "uniform, steps of all proposals",
}
COLOURS = {
    "start": "#999999",
    "netadapt": "#1f6fb4",
    "macs": "#c8442c",
    "uniform": "#555555",
    "uniform_long": "#000000",
}
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared: the network, the table, the target as a share of the start, budgets."""

    arch: Architecture
    table: LatencyTable
    share: float
    step: str
    steps: int
    start_epochs: int
    final_epochs: int
    recipe: Recipe
    folder: Path

    @property
    def target_ms(self) -> float:
        """Return the predicted latency that all methods must reach."""
        return self.share * latency_meter(self.table)(self.arch)

    def settings(self, by: str, seed: int) -> Settings:
        """Return those of one pruning."""
        return Settings(
            target_ms=self.target_ms,
            step=self.step,
            by=by,
            epochs=0,
            steps=self.steps,
            final_epochs=self.final_epochs,
            seed=seed,
        )


def label(data: Data) -> str:
    return data.name.partition(":")[0]


def begin(plan: Plan, data: Data, seed: int) -> Checkpoint:
    """Return the trained network that all methods begin with; it has not seen held-out images."""
    out = plan.folder / f"{label(data)}-{seed}" / "start"
    settings = plan.settings("latency", seed)
    seen = held_out(data, settings.held_out, seed=seed)
    train(plan.arch, seen, adapt(quick(), epochs=plan.start_epochs), seed=seed, out=out)
    return load_checkpoint(str(out))


def unseen(plan: Plan, data: Data, model: torch.nn.Module) -> float:
    """Return the accuracy on validation and test images together."""
    parts = [images for images in (data.val, data.test) if images is not None]
    found = [score(model, images, data, side=plan.arch.resolution) for images in parts]
    return sum(f.top1 * f.images for f in found) / sum(f.images for f in found)


def pruned(plan: Plan, data: Data, start: Checkpoint, by: str, seed: int) -> Row:
    """Return what NetAdapt makes of `start`."""
    job = Job(
        start=start, data=data, table=plan.table, settings=plan.settings(by, seed),
        recipe=plan.recipe,
    )  # fmt: skip
    folder = plan.folder / f"{label(data)}-{seed}" / by
    result = netadapt(job, folder)
    model = network_of(load_checkpoint(str(folder / "final.safetensors")))
    facts = {"rounds": len(result.rounds), "tried": sum(len(r.tried) for r in result.rounds)}
    return row(plan, result.best_arch, unseen(plan, data, model)) | facts


def narrow(arch: Architecture, cuts: Cuts, factor: float, more: int) -> list[tuple[Group, int]]:
    """Return the cuts, one after the other, that leave every group `factor` of its width.

    Widths are rounded to NetAdapt's multiples; the first `more` groups get one step less.
    """
    made = []
    for i in range(len(cuts.groups(arch))):
        group = cuts.groups(arch)[i]
        wanted = (factor - FACTOR_STEP * (i < more)) * group.width + cuts.multiple / 2
        if wanted >= group.width:
            continue
        smaller = cuts.narrower(arch, group)
        found = next((pair for pair in smaller if pair[0] <= max(wanted, cuts.multiple)), None)
        if found:
            made.append((group, found[0]))
            arch = found[1]
    return made


def widest_uniform(plan: Plan, arch: Architecture, cuts: Cuts) -> list[tuple[Group, int]]:
    """Return the cuts of the widest uniform narrowing that the table says is fast enough."""
    meter = latency_meter(plan.table)
    for factor in np.arange(1.0, 0.0, -FACTOR_STEP):
        for more in range(len(cuts.groups(arch))):
            made, small = narrow(arch, cuts, float(factor), more), arch
            for group, width in made:
                small = narrowed(small, group, width)
            if meter(small) <= plan.target_ms:
                return made
    raise SystemExit(f"no uniform narrowing reaches {plan.target_ms:.4g} ms")


def uniform(plan: Plan, data: Data, start: Checkpoint, seed: int, steps: int) -> Row:
    """Return what the widest uniform narrowing within the target comes to.

    It is fine-tuned for `steps` beside the final epochs, all at once.
    """
    arch, weights = start.arch, dict(start.weights)
    cuts = cuts_of(arch, plan.settings("latency", seed))
    for group, width in widest_uniform(plan, arch, cuts):
        weights = sliced(arch, weights, group, strongest(weights, group, width))
        arch = narrowed(arch, group, width)
    seen = held_out(data, plan.settings("latency", seed).held_out, seed=seed)
    recipe = fit_recipe(plan.recipe, data)
    extra = steps * recipe.images_a_step / len(seen.train)
    trained = train(
        arch,
        seen,
        adapt(recipe, epochs=plan.final_epochs + round(extra)),
        seed=seed,
        out=plan.folder / f"{label(data)}-{seed}" / f"uniform-{steps}",
        options=Options(weights=weights),
    )
    return row(plan, arch, unseen(plan, data, trained.model)) | {"epochs": trained.epochs}


def row(plan: Plan, arch: Architecture, top1: float) -> Row:
    counted = cost(arch)
    return {
        "top1": round(top1, 4),
        "latency_ms": round(latency_meter(plan.table)(arch), 4),
        "macs": counted.macs,
        "params": counted.params,
        "widths": {group.name: group.width for group in groups(arch)},
        "arch": arch,
    }


def compare(plan: Plan, data: Data, seed: int) -> Iterator[Row]:
    """Yield what each method makes of one start.

    The first uniform narrowing is fine-tuned for as many steps as the network that NetAdapt ends
    with has been on its way, the second for as many as all its proposals together.
    """
    start = begin(plan, data, seed)
    whole = row(plan, start.arch, unseen(plan, data, network_of(start)))
    by_latency = pruned(plan, data, start, "latency", seed)
    way, all_steps = (plan.steps * by_latency[count] for count in ("rounds", "tried"))
    made = {
        "start": lambda: whole,
        "netadapt": lambda: by_latency,
        "macs": lambda: pruned(plan, data, start, "macs", seed),
        "uniform": lambda: uniform(plan, data, start, seed, way),
        "uniform_long": lambda: uniform(plan, data, start, seed, all_steps),
    }
    for method, make in made.items():
        yield {"data": label(data), "seed": seed, "method": method, **make()}


def measured(plan: Plan, archs: Sequence[Architecture], visits: int) -> list[float]:
    """Return the milliseconds of every network on this machine, all visited in turns.

    Equal architectures are measured once.
    """
    unique = {arch.fingerprint: arch for arch in archs}
    path = plan.folder / "samples.jsonl"
    samples, found = measure_plan(
        plan_check("netadapt", list(unique.values())),
        target_like(plan.table),
        path,
        rounds=Rounds.of(visits),
        instead=f"remove {path}",
    )
    jobs = {name: samples.references + i for i, name in enumerate(unique)}
    return [round(found.jobs[jobs[arch.fingerprint]].ms, 4) for arch in archs]


def of(rows: Sequence[Row], data: str, method: str) -> list[Row]:
    """Return the rows of one method, in the order of the seeds."""
    return [row for row in rows if (row["data"], row["method"]) == (data, method)]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return means over the seeds, and by how much NetAdapt is ahead of each other method."""
    result: dict[str, Any] = {}
    for data in dict.fromkeys(row["data"] for row in rows):
        result[data] = {method: means(of(rows, data, method)) for method in WORDS}
        ours = of(rows, data, "netadapt")
        for other in ("uniform", "uniform_long", "macs"):
            pairs = zip(ours, of(rows, data, other), strict=True)
            gains = [a["top1"] - b["top1"] for a, b in pairs]
            result[data][f"netadapt_minus_{other}"] = {
                "mean": round(float(np.mean(gains)), 4),
                "each": [round(gain, 4) for gain in gains],
            }
    return result


def means(rows: Sequence[Row]) -> dict[str, float]:
    names = ("top1", "latency_ms", "measured_ms", "macs", "params")
    found = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in names}
    spread = float(np.std([row["top1"] for row in rows], ddof=min(1, len(rows) - 1)))
    return {**found, "top1_deviation": round(spread, 4)}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy against measured latency, a point for every seed."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(5 * len(names), 4.2), layout="constrained")
    for axes, data in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for method, colour in COLOURS.items():
            own = of(rows, data, method)
            ms, top1 = [r["measured_ms"] for r in own], [100 * r["top1"] for r in own]
            axes.scatter(ms, top1, color=colour, label=WORDS[method])
        axes.set_title(data)
        axes.set_xlabel("measured latency (ms)")
        axes.set_ylabel("top1 on unseen images (%)")
        axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=160, metadata={"Software": "nas"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", action="append", help="may be repeated")
    parser.add_argument("--arch", default=str(HERE / "base.yaml"))
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--table", default="pixel1")
    parser.add_argument("--share", type=float, default=0.4, help="of the start's latency")
    parser.add_argument("--step", default="8%")
    parser.add_argument("--steps", type=int, default=6, help="of fine-tuning a proposal")
    parser.add_argument("--start-epochs", type=int, default=10)
    parser.add_argument("--final-epochs", type=int, default=12)
    parser.add_argument("--visits", type=int, default=24)
    parser.add_argument("--small", action="store_true", help="to see that it works")
    parser.add_argument("--out", type=Path, default=Path("runs/netadapt_experiment"))
    parser.add_argument("--to", type=Path, default=HERE, help="where the results go")
    asked = parser.parse_args()
    if asked.small:
        asked.share, asked.seeds, asked.start_epochs, asked.steps = 0.85, 1, 2, 2
        asked.final_epochs, asked.visits, asked.data = 1, 4, asked.data or ["digits"]
        asked.out = asked.to = asked.out.with_name(f"{asked.out.name}_small")
    asked.data = asked.data or list(DATA)
    run(asked)


def plan_of(asked: argparse.Namespace, classes: int) -> Plan:
    arch = scale_resolution(load_architecture(asked.arch), asked.resolution)
    recipe = quick()
    return Plan(
        arch=for_classes(arch, classes),
        table=load_table(asked.table),
        share=asked.share,
        step=asked.step,
        steps=asked.steps,
        start_epochs=asked.start_epochs,
        final_epochs=asked.final_epochs,
        recipe=replace(recipe, lr=recipe.lr / GENTLER),
        folder=asked.out,
    )


def run(asked: argparse.Namespace) -> None:
    started = time.monotonic()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for data in map(load_data, asked.data):
        plan = plan_of(asked, len(data.classes))
        for seed in range(asked.seeds):
            for found in compare(plan, data, seed):
                rows.append(found)
                shown = {k: v for k, v in found.items() if k not in ("arch", "widths")}
                print(json.dumps(shown), flush=True)
    archs = [row.pop("arch") for row in rows]
    for row, ms in zip(rows, measured(plan, archs, asked.visits), strict=True):
        row["measured_ms"] = ms
    packages = ("numpy", "torch", "onnxruntime", "scikit-learn")
    result = {
        "settings": {
            **{k: v for k, v in vars(asked).items() if k not in ("out", "to", "small")},
            "arch": Path(asked.arch).name,
        },
        "summary": summary(rows),
        "rows": rows,
        "made": circumstances(time.monotonic() - started, packages),
    }
    write_text(asked.to / "result.yaml", yaml.safe_dump(result, sort_keys=False, width=100))
    draw(rows, asked.to / "result.png")
    print(yaml.safe_dump(result["summary"], sort_keys=False))


if __name__ == "__main__":
    main()
