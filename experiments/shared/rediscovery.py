"""The common part of both rediscoveries: search at a known network's latency, and compare."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from experiments.fit_published_accuracy.families import Large
from experiments.fit_published_accuracy.process import Process, Scaling, percent, tune
from experiments.fit_published_accuracy.rows import (
    PREDICTIONS,
    Table,
    at_reference,
    joined,
    published_table,
    read_published,
)
from experiments.fit_published_accuracy.run import large_rows, scaled, scaling_for
from experiments.shared.folders import SHARED_DATA
from experiments.shared.results import BLUE, GREY, RED, circumstances, rounded, save
from nas.accuracy.feature_model import load_feature_model
from nas.accuracy.features import Floats, features
from nas.accuracy.judges import load_judges
from nas.core import data
from nas.core.files import write_text
from nas.latency.file import load_table
from nas.network.blocks import Architecture, Block
from nas.network.zoo import load_architecture
from nas.report.plots import draw_front
from nas.searching.config import SearchConfig
from nas.searching.loop import Run, search
from nas.searching.solutions import known_solutions

Judge = Callable[[Sequence[Architecture]], Floats]
"""Predicts top-1 in per cent."""

SPACE, TABLE, TRIALS = "mbconv", "pixel1", 10_000
PACKAGES = ("numpy", "scipy")
WITHOUT = {
    "process without MobileNetV3": ("V3",),
    "process without EfficientNet": ("EfficientNet",),
    "process without Once-for-All": ("OFA", "OFA-proxyless"),
}
"""Judges of the kind that taught the guide, by the families that each is fitted without."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A known network, whose latency limits a search; `published` is its top-1 in per cent."""

    name: str
    published: float

    @property
    def arch(self) -> Architecture:
        """The network."""
        return load_architecture(self.name)

    @property
    def limit_ms(self) -> float:
        """Its latency, rounded up."""
        return round(load_table(TABLE).predict(self.arch).ms + 5e-4, 3)


def main(targets: Sequence[Target], folder: Path, *, front: bool = False) -> None:
    parser = argparse.ArgumentParser(description=f"Search {SPACE} at the latency of known ones.")
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=TRIALS)
    options = parser.parse_args()
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    if front:
        run = search(trials=options.trials)
        draw_front(run, known_solutions(run.setup), [folder / "front.png"])
    found = {}
    for target in targets:
        config = SearchConfig(
            space=SPACE, limit=(f"latency_ms<={target.limit_ms}",), trials=options.trials
        )
        runs = [search(config, seed=seed) for seed in range(options.seeds)]
        found[target.name] = [best_of(run) for run in runs]
        say(f"{target.name}: searched {options.seeds} times")
    judges = all_judges(options.data, say)
    result = {
        "schema": 1,
        "space": SPACE,
        "table": TABLE,
        "trials": options.trials,
        "targets": {
            target.name: target_result(target, found[target.name], judges) for target in targets
        },
        **circumstances(PACKAGES, time.perf_counter() - started),
    }
    write_text(folder / "result.yaml", data.to_yaml(rounded(result, partial(round, ndigits=3))))
    draw_judged(result["targets"], folder / "judged.png")
    print(show(result["targets"]))


def best_of(run: Run) -> Architecture:
    """Return the best network of a search, by the lower bound that guided it."""
    assert run.best is not None
    return run.best.arch


def all_judges(folder: Path, say: Callable[[str], None]) -> dict[str, Judge]:
    """Return all judges, by their descriptions."""
    published = read_published(folder / "published_accuracies" / "networks.json")
    scaling = scaling_for(published)
    table = scaled(published_table(published), scaling)
    large, _ = large_rows(folder, scaling, np.random.default_rng(0))
    ridge = load_judges()
    judges: dict[str, Judge] = {
        "ridge without the nearest family": lambda archs: 100 * ridge(features(archs)).accuracy
    }
    for name, families in WITHOUT.items():
        numbers = [published.family_names.index(family) for family in families]
        rest = table.take(~np.isin(table.families, numbers))
        others = without_predictions(large) if "OFA" in families else large
        judges[name] = process_judge(rest, others, scaling)
        say(f"fitted the {name}")
    half = np.random.default_rng(1).permutation(len(table)) % 2
    for number in (0, 1):
        name = f"process on half {number + 1} of the networks"
        judges[name] = process_judge(table.take(half == number), large, scaling)
        say(f"fitted the {name}")
    return judges


def without_predictions(large: Large) -> Large:
    """Return the large sets without the predictions of Once-for-All, which know its networks."""
    parts = (large.tuning, large.conditioning)
    return Large(*(part.take(part.schemes != PREDICTIONS) for part in parts))


def process_judge(published: Table, large: Large, scaling: Scaling) -> Judge:
    """Return a process fitted to some networks, hyperparameters included."""
    values = tune(joined([published, large.tuning]))
    process = Process(joined([published, large.conditioning]), values)

    def judge(archs: Sequence[Architecture]) -> Floats:
        rows = at_reference(scaling(features(archs)))
        return percent(process(rows, deviations=False).mean)

    return judge


def target_result(
    target: Target, found: Sequence[Architecture], judges: Mapping[str, Judge]
) -> dict[str, Any]:
    """Return what all judges predict for the networks found for `target`, in per cent."""
    table, guide = load_table(TABLE), load_feature_model()
    mean, deviation = (100 * values for values in guide.predict(found, family=False))
    ms = [table.predict(arch).ms for arch in found]
    best = int(np.argmax(mean - deviation))
    return {
        "limit_ms": target.limit_ms,
        "published": target.published,
        "predicted": 100 * float(guide.predict(target.arch).accuracy[0]),
        "found": [
            {"latency_ms": t, "top1": float(m), "deviation": float(d)}
            for t, m, d in zip(ms, mean, deviation, strict=True)
        ],
        "judged": {name: judge(found).tolist() for name, judge in judges.items()},
        "known_judged": {name: float(judge([target.arch])[0]) for name, judge in judges.items()},
        "blocks": {"known": stages_of(target.arch), "found": stages_of(found[best])},
    }


def stages_of(arch: Architecture) -> list[str]:
    """Return the resolution, and a line for each run of blocks of one width and resolution."""
    lines = [f"{arch.resolution} px; stem {arch.stem[0].out_channels} {arch.stem[0].act}"]
    blocks = [block for stage in arch.stages for block in stage]
    lines += [stage_line(list(run)) for _, run in groupby(blocks, lambda b: b.out_channels)]
    head = ", ".join(f"{b.kind} {b.out_channels}" for b in arch.head[:-1] if b.kind != "pool")
    return [*lines, f"head {head} {arch.head[0].act}"]


def stage_line(blocks: Sequence[Block]) -> str:
    """Describe consecutive blocks of one width."""
    first = blocks[0]
    stride = f" /{first.stride}" if first.stride > 1 else ""
    kernels = "-".join(str(k) for k in dict.fromkeys(block.kernel for block in blocks))
    hidden = dict.fromkeys(block.hidden_channels / block.in_channels for block in blocks)
    ratios = ", ".join(f"{ratio:.3g}" for ratio in hidden)
    acts = "-".join(dict.fromkeys(block.act for block in blocks))
    share = sum(block.se_channels > 0 for block in blocks)
    se = "" if not share else " SE" if share == len(blocks) else f" SE in {share}"
    return (
        f"{len(blocks)} x {first.out_channels}{stride}, kernel {kernels}, expansion {ratios}, "
        f"{acts}{se}"
    )


def show(targets: Mapping[str, Any]) -> str:
    """Return the figures as Markdown: a row for each target, then block by block.

    For each judge it gives the range of what was found, and its gain over the known network.
    """
    names = list(next(iter(targets.values()))["judged"])
    head = ["at the latency of", "published", "found", "mean - sd", "seeds apart", *names]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, one in targets.items():
        top1 = np.array([f["top1"] for f in one["found"]])
        bound = top1 - [f["deviation"] for f in one["found"]]
        verdicts = [verdict(one["judged"][name], one["known_judged"][name]) for name in names]
        cells = [
            f"`{name}`, {one['limit_ms']:.1f} ms",
            f"{one['published']:.1f}",
            f"{top1.min():.2f} to {top1.max():.2f}",
            f"{bound.min():.2f} to {bound.max():.2f}",
            f"{np.ptp(bound):.2f}",
            *verdicts,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name, one in targets.items():
        lines += ["", f"**{name}**", "", "| known | found |", "|---|---|"]
        pairs = zip_longest(one["blocks"]["known"], one["blocks"]["found"], fillvalue="")
        lines += [f"| {known} | {found} |" for known, found in pairs]
    return "\n".join(lines)


def verdict(found: Sequence[float], known: float) -> str:
    """Return what one judge predicts for what was found, and its gain over the known network."""
    low, high = min(found), max(found)
    return f"{low:.1f} to {high:.1f} ({low - known:+.1f} to {high - known:+.1f})"


def draw_judged(targets: Mapping[str, Any], path: Path) -> None:
    """Draw each judge's predictions for what was found, minus the published top-1."""
    judges = list(next(iter(targets.values()))["judged"])
    rows = ["the guide", "the guide less its deviation", *judges]
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(7.5, 1.2 + 1.35 * len(targets)), layout="constrained")
        axes = figure.add_subplot()
        places = []
        for t, one in enumerate(targets.values()):
            found = one["found"]
            top1 = [f["top1"] for f in found]
            values = [top1, [f["top1"] - f["deviation"] for f in found]]
            values += [one["judged"][name] for name in judges]
            for r, row in enumerate(values):
                height = -(t * (len(rows) + 1.5) + r)
                colour = RED if r < 2 else BLUE
                gains = np.array(row) - (
                    one["published"] if r < 2 else one["known_judged"][judges[r - 2]]
                )
                axes.plot(gains, np.full(len(gains), height), "o", color=colour, alpha=0.5, ms=4)
                places.append((height, rows[r]))
            title = f"{list(targets)[t]}: {one['published']:.1f} % at {one['limit_ms']:.1f} ms"
            axes.text(0.0, height + len(rows) - 0.2, title, fontsize=9, weight="bold", ha="left")
        axes.set_yticks([h for h, _ in places], [text for _, text in places], fontsize=7)
        axes.set_ylim(top=1.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel(
            "gain over the known network (points):\nthe guide over its published top-1, "
            "judges over their own prediction"
        )
        axes.grid(axis="x", alpha=0.25)
        save(figure, path)
