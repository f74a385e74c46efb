"""Measure and validate the tables that are bundled for this machine.

python -m experiments.latency_validation.tables

Every table takes some minutes. Run it on an otherwise idle machine; it resumes after a kill.
"""

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.shared.folders import ROOT
from nas.latency.measure.bundle import with_validation
from nas.latency.measure.make import make_table
from nas.latency.measure.plan import plan_space
from nas.latency.measure.rounds import MeasuringProgress, Rounds
from nas.latency.measure.run import Target
from nas.space.file import load_space

BUNDLED = ROOT / "latency_tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What one table is measured for."""

    space: str
    dtype: str = "fp32"
    threads: int = 1

    def name(self, cpu: str) -> str:
        """Return the name of its file."""
        return f"{cpu}_onnxruntime_{self.threads}t_{self.dtype}_{self.space}"


VARIANTS = (
    Variant(space="mnasnet_b0"),
    Variant(space="mobilenetv3"),
    Variant(space="mnasnet_b0", dtype="int8"),
    Variant(space="mobilenetv3", dtype="int8"),
    Variant(space="mnasnet_b0", threads=2),
)
SMALL = tuple(Variant(space=f"mbconv_{side}") for side in (32, 64, 96))
"""Tables of small inputs, measured on another machine."""


def make(variant: Variant, cpu: str, folder: Path, core: int | None, rounds: Rounds) -> None:
    """Measure one table with its validation, and bundle it."""
    path = folder / f"{variant.name(cpu)}.yaml"
    cores = None if core is None or variant.threads > 1 else (core,)
    target = Target(threads=variant.threads, dtype=variant.dtype, cores=cores)
    every, space = set(os.sched_getaffinity(0)), load_space(variant.space)
    plan = with_validation(plan_space(space), space, 50)
    table = make_table(plan, target, path, rounds=rounds, report=_say)
    os.sched_setaffinity(0, every)
    print(f"\r{path.stem}: {table.validation.summary if table.validation else ''}", flush=True)
    shutil.copy(path, BUNDLED / path.name)


def _say(now: MeasuringProgress) -> None:
    if sys.stderr.isatty():
        print(f"\r{now.done} of {now.total} repetitions", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Measure the requested tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", default="epyc_genoa", help="how the file names call this machine")
    parser.add_argument("--core", type=int, help="the core for one thread")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the variants, from 0")
    parser.add_argument("--rounds", type=int, help="fewer repetitions than usual")
    parser.add_argument("--folder", type=Path, default=Path("runs/latency_validation"))
    given = parser.parse_args()
    for number, variant in enumerate((*VARIANTS, *SMALL)):
        if given.only is None or number in given.only:
            make(variant, given.cpu, given.folder, given.core, Rounds.of(given.rounds))


if __name__ == "__main__":
    main()
