"""The methods that are compared: NetAdapt, and narrowing all channels alike.

Each seed on each data set has a folder of its own, in which it resumes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.core.files import write_text
from nas.latency.measure.plan import plan_check
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import measure_plan
from nas.latency.measure.speedup import target_like
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.network.cost import cost
from nas.network.weights import Weights
from nas.pruning.channels import groups, narrowed
from nas.pruning.job import PruningJob
from nas.pruning.netadapt import Result, Settings, cuts_of
from nas.pruning.proposals import Cuts, latency_meter
from nas.pruning.run import netadapt
from nas.pruning.slicing import sliced, strongest
from nas.pruning.taylor import BATCHES, effects
from nas.training.data import Data
from nas.training.evaluate import score
from nas.training.fine_tune import FineTuningSetup, held_out
from nas.training.job import Options
from nas.training.recipes import Recipe, adapt
from nas.training.run import train
from nas.training.trained import network_of

RATES = (1.0, 0.5, 0.25)
"""Fractions of the recipe's learning rate; every contender gets its best one."""
BACKWARD = 3
"""A training step counts as three forward passes."""
FACTOR_STEP = 0.01
CANDIDATES = 18
BAND = (0.5, 1.05)
"""Fractions of NetAdapt's predicted latency between which equally fast uniform networks are
sought."""
Row = dict[str, Any]
Widths = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan for every data set and seed; `images` is the number for the long fine-tuning."""

    arch: Architecture
    table: LatencyTable
    share: float
    step: str
    steps: int
    shortlist: int
    start_epochs: int
    images: int
    visits: int
    recipe: Recipe

    def settings(self, seed: int) -> Settings:
        """Return the settings of one pruning, without the long fine-tuning."""
        return Settings(
            target_ms=self.share * latency_meter(self.table)(self.arch),
            step=self.step,
            steps=self.steps,
            shortlist=self.shortlist,
            final_epochs=0,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A seed on a data set: folder, initial checkpoint, and data without the held-out part."""

    plan: Plan
    folder: Path
    seed: int
    data: Data
    seen: Data
    start: Checkpoint


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A pruned network for the long fine-tuning, and its cost so far."""

    name: str
    arch: Architecture
    weights: Weights
    searched: float
    measured_ms: float


def begin(plan: Plan, data: Data, folder: Path, seed: int) -> Case:
    """Train the initial network of all contenders, without the held-out images."""
    seen = held_out(data, plan.settings(seed).held_out, seed=seed)
    out = folder / "start"
    train(plan.arch, seen, adapt(plan.recipe, epochs=plan.start_epochs), seed=seed, out=out)
    start = load_checkpoint(str(out))
    return Case(plan=plan, folder=folder, seed=seed, data=data, seen=seen, start=start)


def compare(case: Case) -> Iterator[Row]:
    """Yield the row of the initial network, then that of every contender."""
    ours, pruned, searched = search(case)
    uniform, ms = as_fast(case, ours)
    start_ms, ours_ms, uniform_ms = ms
    whole = unseen(case, network_of(case.start))
    yield row(case, "start", case.start.arch, whole, start_ms) | {"arch": case.start.arch}
    made = [
        Contender(
            name="netadapt", arch=ours, weights=pruned, searched=searched, measured_ms=ours_ms
        ),
        cut(case, "uniform", uniform, uniform_ms),
    ]
    budget = searched + len(RATES) * epochs_of(case, case.plan.images) * epoch_cost(case, ours)
    for one in made:
        yield finish(case, one, budget) | {"arch": one.arch}


def search(case: Case) -> tuple[Architecture, Weights, float]:
    """Prune by NetAdapt; return the network, its weights and the cost."""
    job = PruningJob(
        start=case.start,
        data=case.data,
        table=case.plan.table,
        settings=case.plan.settings(case.seed),
        recipe=case.plan.recipe,
        device="cpu",
    )
    result = netadapt(job, case.folder / "netadapt")
    found = load_checkpoint(str(case.folder / "netadapt" / "final.safetensors"))
    return result.best_arch, found.weights, search_cost(case, result)


def search_cost(case: Case, result: Result) -> float:
    """Return the cost of all rounds: effects on the loss, fine-tuning and evaluating proposals."""
    plan, before, total = case.plan, result.start.macs, 0
    trained = min(plan.steps * plan.recipe.images_a_step, len(case.seen.train))
    for one in result.rounds:
        total += BACKWARD * BATCHES * plan.recipe.batch * before
        tried = sum(t.point.macs for t in one.tried if t.point)
        total += (BACKWARD * trained + len(case.seen.val)) * tried
        before = one.point.macs
    return total / 1e9


def epoch_cost(case: Case, arch: Architecture) -> float:
    """Return the cost of an epoch with its evaluation, in images times thousand million MACs."""
    images = BACKWARD * len(case.seen.train) + len(case.seen.val)
    return images * cost(arch).macs / 1e9


def epochs_of(case: Case, images: int) -> int:
    return max(1, round(images / len(case.seen.train)))


def cut(case: Case, name: str, widths: Widths, ms: float) -> Contender:
    """Return the initial network, cut at once to widths that keep its most important channels."""
    setup = FineTuningSetup(data=case.seen, recipe=case.plan.recipe, epochs=0, seed=case.seed)
    arch, weights = case.start.arch, case.start.weights
    known = effects(setup, arch, weights, number=0)
    for group in cuts_of(arch, case.plan.settings(case.seed)).groups(arch):
        width = widths[group.name]
        if width == group.width:
            continue
        now = {g.name: g for g in groups(arch, origin=case.start.arch)}[group.name]
        keep = strongest(weights, now, width, by="taylor", effects=known)
        weights = sliced(arch, weights, now, keep)
        arch = narrowed(arch, now, width)
    return Contender(name=name, arch=arch, weights=weights, searched=0.0, measured_ms=ms)


def finish(case: Case, one: Contender, budget: float) -> Row:
    """Fine-tune with every rate for the rest of the budget; keep the best on held-out images."""
    left = (budget - one.searched) / len(RATES)
    epochs = max(1, round(left / epoch_cost(case, one.arch)))
    tried = []
    for share in RATES:
        recipe = adapt(case.plan.recipe, epochs=epochs, lr=share * case.plan.recipe.lr)
        out = case.folder / f"{one.name}-{share:g}"
        options = Options(weights=one.weights, device="cpu")
        trained = train(one.arch, case.seen, recipe, seed=case.seed, out=out, options=options)
        loss = min(e["val_loss"] for e in trained.history if e["top1"] == trained.top1)
        top1 = unseen(case, trained.model)
        tried.append({"rate": share, "held_out": trained.top1, "loss": loss, "top1": top1})
    best = max(tried, key=lambda found: (found["held_out"], -found["loss"]))
    spent = one.searched + len(RATES) * epochs * epoch_cost(case, one.arch)
    return {
        **row(case, one.name, one.arch, best["top1"], one.measured_ms),
        "rate": best["rate"],
        "by_rate": [round(found["top1"], 4) for found in tried],
        "epochs": epochs,
        "searched": round(one.searched, 2),
        "spent": round(spent, 2),
    }


def row(case: Case, name: str, arch: Architecture, top1: float, ms: float) -> Row:
    return {
        "data": case.data.name.partition(":")[0],
        "seed": case.seed,
        "contender": name,
        "top1": round(top1, 4),
        "measured_ms": round(ms, 5),
        "latency_ms": round(latency_meter(case.plan.table)(arch), 4),
        "macs": cost(arch).macs,
        "params": cost(arch).params,
        "widths": [group.width for group in groups(arch)],
    }


def unseen(case: Case, model: torch.nn.Module) -> float:
    """Return the accuracy on validation and test images together."""
    data, side = case.data, case.plan.arch.resolution
    parts = [images for images in (data.val, data.test) if images is not None]
    found = [score(model, images, data, side=side) for images in parts]
    return sum(f.top1 * f.images for f in found) / sum(f.images for f in found)


def as_fast(case: Case, ours: Architecture) -> tuple[Widths, tuple[float, float, float]]:
    """Return uniform widths that are as fast as `ours` here, and the latencies of all three.

    Networks with about the same prediction are measured in turns with these. The choice is stored,
    since another measurement might choose differently.
    """
    path = case.folder / "as_fast.json"
    if not path.is_file():
        write_text(path, json.dumps(measure_near(case, ours)))
    widths, (start_ms, ours_ms, uniform_ms) = json.loads(path.read_text())
    return widths, (start_ms, ours_ms, uniform_ms)


def measure_near(case: Case, ours: Architecture) -> tuple[Widths, tuple[float, float, float]]:
    """Measure uniform networks beside `ours`, and return what `as_fast` does."""
    start, meter = case.start.arch, latency_meter(case.plan.table)
    low, high = (share * meter(ours) for share in BAND)
    known = uniform_networks(start, cuts_of(start, case.plan.settings(case.seed)))
    near = sorted((arch for arch in known if low <= meter(arch) <= high), key=meter)
    near = near[:: -(-len(near) // CANDIDATES)]
    ms = measured(case.plan, [start, ours, *near], case.folder / "samples.jsonl")
    _, best = min((abs(one - ms[1]), i) for i, one in enumerate(ms[2:]))
    widths = {group.name: group.width for group in groups(near[best])}
    return widths, (ms[0], ms[1], ms[2 + best])


@cache
def uniform_networks(start: Architecture, cuts: Cuts) -> list[Architecture]:
    """Return all distinct networks whose groups are narrowed by one factor.

    Widths are multiples as NetAdapt's are; between two factors, the first groups are narrowed
    first.
    """
    old = [group.width for group in cuts.groups(start)]
    widths = dict.fromkeys(
        tuple(
            rounded((factor - FACTOR_STEP * (i < ahead)) * width, width, cuts.multiple)
            for i, width in enumerate(old)
        )
        for factor in np.arange(1.0, 0.0, -FACTOR_STEP)
        for ahead in range(len(old))
    )
    found = [narrow(start, cuts, each) for each in widths]
    return list({arch.fingerprint: arch for arch in found}.values())


def rounded(width: float, most: int, multiple: int) -> int:
    return min(most, max(multiple, int(width / multiple + 0.5) * multiple))


def narrow(arch: Architecture, cuts: Cuts, widths: Sequence[int]) -> Architecture:
    """Return `arch` with groups of these widths, or the nearest that a block can have."""
    for group, width in zip(cuts.groups(arch), widths, strict=True):
        fit = (one for wide, one in cuts.narrower(arch, group) if wide <= width)
        arch = next(fit, arch) if width < group.width else arch
    return arch


def measured(plan: Plan, archs: Sequence[Architecture], path: Path) -> list[float]:
    """Return the milliseconds of networks on this machine, measured in turns."""
    named = [replace(arch, name=f"{i}") for i, arch in enumerate(archs)]
    samples, found = measure_plan(
        plan_check("netadapt", named),
        target_like(plan.table),
        path,
        rounds=Rounds.of(plan.visits),
        instead=f"remove {path}",
    )
    return [found.jobs[samples.references + i].ms for i in range(len(archs))]
