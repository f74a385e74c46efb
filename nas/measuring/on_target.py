"""Measure a bundle on a device that has Python, numpy and the runtime, and nothing else of this.

A bundle is a zip that Python runs: `python bundle.zip --out samples.jsonl`. It carries this file
and the few it imports, the plan, and the models.
"""

import argparse
import importlib
import json
import logging
import sys
import time
import zipfile
from contextlib import closing
from functools import partial
from pathlib import Path

from nas import machine
from nas.backends import Backend
from nas.errors import NasError, missing_package
from nas.measuring.rounds import Model, Progress, Rounds, measure
from nas.measuring.samples import SampleFile, header

MANIFEST = "bundle.json"
CARRIED = (
    "errors.py",
    "files.py",
    "text.py",
    "strict_json.py",
    "reader.py",
    "lines.py",
    "machine.py",
    "backends/__init__.py",
    "measuring/__init__.py",
    "measuring/estimates.py",
    "measuring/on_target.py",
    "measuring/rounds.py",
    "measuring/samples.py",
)
"""The files of this package that a bundle needs, beside its backend."""

_SECONDS_BETWEEN_LINES = 10


def main(bundle: Path) -> int:
    """Measure `bundle` as the command line says; return the exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    parser = argparse.ArgumentParser(prog=f"python {bundle.name}", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the file of samples")
    parser.add_argument("--threads", type=int, default=1, help="threads, 1 by default")
    parser.add_argument("--cores", help="cores to stay on, as in 2,3; the fastest if left")
    parser.add_argument("--minutes", type=float, help="begin no visit after so many minutes")
    parser.add_argument("--rounds", type=int, help="visits of every model; as it needs if left")
    given = parser.parse_args()
    try:
        cores = tuple(int(core) for core in given.cores.split(",")) if given.cores else None
    except ValueError:
        parser.error(f"--cores {given.cores}: expected numbers, as in 0 or 2,3")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: expected 1 or more")
    rounds = Rounds.of(given.rounds, minutes=given.minutes)
    try:
        run(bundle, given.out, threads=given.threads, cores=cores, rounds=rounds)
    except NasError as error:
        logging.error("error: %s", error)
        return 2
    except KeyboardInterrupt:
        logging.error("stopped; the same command goes on")
        return 130
    logging.info("%s is complete; make the table: nas latency build %s", given.out, given.out)
    return 0


def run(
    bundle: Path, out: Path, *, threads: int, cores: tuple[int, ...] | None, rounds: Rounds
) -> None:
    """Measure all models in `bundle` into the samples at `out`, going on where that stopped.

    Raises:
        NasError: if the runtime is missing, or refuses its options or a reference network.
        RunError: if `out` is of another measurement, or cannot be written.
    """
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read(MANIFEST))
        backend = _backend(manifest, threads)
        head = header(
            manifest["plan"], runtime=backend.runtime, threads=threads, dtype=manifest["dtype"]
        )
        models = [
            Model(name=job["name"], load=partial(archive.read, name))
            for job, name in zip(manifest["plan"]["jobs"], manifest["models"], strict=True)
        ]
        with closing(SampleFile(out, head)) as file:
            kept = machine.pin(cores, threads=threads)
            known = {**machine.describe(kept), "backend": manifest["backend"]}
            report = _Lines()
            found = measure(
                models,
                backend.open,
                file,
                rounds=rounds,
                machine=known,
                report=report,
            )
    logging.info("noise of the machine: %.1f %%", 100 * found.noise)


def _backend(manifest: dict[str, str], threads: int) -> Backend:
    try:
        module = importlib.import_module(f"nas.backends.{manifest['backend']}")
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="measuring") from None
    backend: Backend = module.create(threads=threads, dtype=manifest["dtype"])
    return backend


class _Lines:
    """Says how far the measurement is, at most every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, now: Progress) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            logging.info(
                "%d of %d visits, at most %.0f min left", now.done, now.total, now.seconds_left / 60
            )
