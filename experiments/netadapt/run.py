"""Compare NetAdapt with uniform narrowing at one total cost and one measured latency.

python -m experiments.netadapt.run [--seeds 5] [--data digits] [--out runs/netadapt_experiment]

Writes result.yaml and result.png to this folder. An interrupted run resumes; several may share a
run folder if they differ in data or seeds: with --only work, then one with --only report. With
--small it checks in a minute or two that all parts work, and writes to the run folder only.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any
from zipfile import ZipFile

import torch
import yaml
from matplotlib.figure import Figure

from experiments.netadapt.contenders import Plan, Row, begin, compare, measured
from experiments.shared.folders import SHARED_DATA
from experiments.shared.intervals import half_interval
from experiments.shared.results import BLUE, GREY, RED, circumstances, save
from nas.core.files import write_text
from nas.latency.file import load_table
from nas.network.blocks import from_mapping, to_mapping
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.training.data import Data, load_data
from nas.training.recipes import quick
from nas.training.task import for_classes

HERE = Path(__file__).resolve().parent
CIFAR = SHARED_DATA / "cifar10_part" / "cifar10_part.zip"
A_CLASS = 250
"""Training images of a class that are taken from the archive."""
DATA = ("digits", "shapes:count=3000,difficulty=0", "cifar10_part")
WORDS = {"start": "before pruning", "netadapt": "NetAdapt", "uniform": "uniform narrowing"}
COLOURS = {"start": GREY, "netadapt": BLUE, "uniform": RED}


def data_of(name: str, asked: argparse.Namespace) -> Data | None:
    """Return a data set; None if its archive is absent."""
    if name != "cifar10_part":
        return load_data(name)
    if not asked.cifar.is_file():
        print(f"{asked.cifar} is absent: cifar10_part is left out", file=sys.stderr)
        return None
    folder = asked.out / "cifar10_part"
    if not folder.is_dir():
        with ZipFile(asked.cifar) as archive:
            archive.extractall(asked.out, sorted(few(archive.namelist())))
    return replace(load_data(f"imagefolder:{folder}"), name="cifar10_part")


def few(names: Sequence[str]) -> Iterator[str]:
    """Yield the first training images of every class, and all others."""
    count: dict[str, int] = {}
    for name in sorted(names):
        folder = name.rpartition("/")[0]
        count[folder] = count.get(folder, 0) + 1
        if name.endswith(".jpg") and ("/train/" not in name or count[folder] <= A_CLASS):
            yield name


def rows_of(asked: argparse.Namespace) -> list[Row]:
    """Return the rows of all cases, each seed with every data set."""
    found = {name: None if asked.only == "report" else data_of(name, asked) for name in asked.data}
    rows = []
    for seed in range(asked.first_seed, asked.seeds):
        for name, data in found.items():
            folder = asked.out / f"{name.partition(':')[0]}-{seed}"
            if not (folder / "rows.json").is_file() and data is not None:
                made = list(compare(begin(plan_of(asked, len(data.classes)), data, folder, seed)))
                plain = [{**row, "arch": to_mapping(row["arch"])} for row in made]
                write_text(folder / "rows.json", json.dumps(plain))
                print(json.dumps([{**row, "arch": ""} for row in made]), flush=True)
            if (folder / "rows.json").is_file():
                rows += json.loads((folder / "rows.json").read_text())
    return rows


def plan_of(asked: argparse.Namespace, classes: int) -> Plan:
    arch = scale_resolution(load_architecture(str(HERE / "base.yaml")), asked.resolution)
    taken = {name: getattr(asked, name) for name in ("share", "step", "steps", "shortlist")}
    return Plan(
        arch=for_classes(arch, classes),
        table=load_table(asked.table),
        start_epochs=asked.start_epochs,
        images=asked.images,
        visits=asked.visits,
        recipe=quick(),
        **taken,
    )


def measure(asked: argparse.Namespace, rows: Sequence[Row]) -> None:
    """Measure all networks again, in turns, into `rows`; equal ones once."""
    archs = [from_mapping(row.pop("arch")) for row in rows]
    unique = {arch.fingerprint: arch for arch in archs}
    path = asked.out / f"samples-{len(unique)}.jsonl"
    ms = dict(zip(unique, measured(plan_of(asked, 10), list(unique.values()), path), strict=True))
    for row, arch in zip(rows, archs, strict=True):
        row["measured_ms"] = round(ms[arch.fingerprint], 5)


def of(rows: Sequence[Row], data: str, contender: str) -> list[Row]:
    """Return the rows of one contender, in the order of the seeds."""
    return [row for row in rows if (row["data"], row["contender"]) == (data, contender)]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return means over the seeds, and paired differences with 95 % intervals."""
    result: dict[str, Any] = {}
    for data in dict.fromkeys(row["data"] for row in rows):
        result[data] = {name: means(of(rows, data, name)) for name in WORDS}
        pairs = list(zip(of(rows, data, "netadapt"), of(rows, data, "uniform"), strict=True))
        result[data]["netadapt_against_uniform"] = {
            "top1": interval([a["top1"] - b["top1"] for a, b in pairs]),
            "latency": interval([a["measured_ms"] / b["measured_ms"] - 1 for a, b in pairs]),
        }
    return result


def means(rows: Sequence[Row]) -> dict[str, float]:
    names = ("top1", "measured_ms", "latency_ms", "macs", "params", "epochs", "spent", "searched")
    known = [name for name in names if name in rows[0]]
    return {name: round(fmean(row[name] for row in rows), 4) for name in known}


def interval(gaps: Sequence[float]) -> dict[str, Any]:
    """Return the mean with half of its 95 % interval by Student's t, and each value."""
    half = round(half_interval(gaps), 4) if len(gaps) > 1 else None
    each = [round(gap, 4) for gap in gaps]
    return {"mean": round(fmean(gaps), 4), "half_of_95_percent_interval": half, "each": each}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy against measured latency, a point for every seed."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(4.4 * len(names), 4.4), layout="constrained")
    for axes, data in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for contender, colour in COLOURS.items():
            own = of(rows, data, contender)
            ms, top1 = [row["measured_ms"] for row in own], [100 * row["top1"] for row in own]
            axes.scatter(ms, top1, color=colour, label=WORDS[contender], alpha=0.75)
        axes.set_title(f"{data}, {len(own)} seeds")
        axes.set_xlabel("measured latency (ms)")
        axes.set_ylabel("top1 on unseen images (%)")
        axes.grid(alpha=0.25)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", action="append", help="may be repeated")
    parser.add_argument("--cifar", type=Path, default=CIFAR, help="the archive of cifar10_part")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--table", default="pixel1")
    parser.add_argument("--share", type=float, default=0.4, help="of the start's latency")
    parser.add_argument("--step", default="12%")
    parser.add_argument("--steps", type=int, default=6, help="of fine-tuning a proposal")
    parser.add_argument("--shortlist", type=int, default=3)
    parser.add_argument("--start-epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=10_000, help="of the long fine-tuning")
    parser.add_argument("--visits", type=int, default=24)
    parser.add_argument("--only", choices=("work", "report"), help="one of the two; both if left")
    parser.add_argument("--small", action="store_true", help="to see that it works")
    parser.add_argument("--out", type=Path, default=Path("runs/netadapt_experiment"))
    parser.add_argument("--to", type=Path, default=HERE, help="where the results go")
    asked = parser.parse_args()
    if asked.small:
        asked.share, asked.seeds, asked.start_epochs, asked.steps = 0.85, 2, 2, 2
        asked.images, asked.visits, asked.data = 900, 4, asked.data or ["digits"]
        asked.out = asked.to = asked.out.with_name(f"{asked.out.name}_small")
    asked.data = asked.data or list(DATA)
    run(asked)


def run(asked: argparse.Namespace) -> None:
    started = time.monotonic()
    torch.set_num_threads(1)
    rows = rows_of(asked)
    if asked.only == "work":
        return
    measure(asked, rows)
    without = ("out", "to", "small", "only", "cifar", "first_seed")
    result = {
        "settings": {k: v for k, v in vars(asked).items() if k not in without},
        "summary": summary(rows),
        "rows": rows,
        "made": circumstances(
            ("numpy", "torch", "onnxruntime", "scikit-learn"), time.monotonic() - started
        ),
    }
    write_text(asked.to / "result.yaml", yaml.safe_dump(result, sort_keys=False, width=100))
    draw(rows, asked.to / "result.png")
    print(yaml.safe_dump(result["summary"], sort_keys=False))


if __name__ == "__main__":
    main()
