"""Measure a bundle on a device that has only Python, numpy and the runtime.

A bundle is a zip that Python runs: `python bundle.zip --out samples.jsonl`. It carries this file
and the few it imports, the plan, and the models.
"""

import argparse
import importlib
import logging
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from nas.core import machine, strict_json
from nas.core.errors import BadFile, NasError, missing_package
from nas.core.schema import SCHEMA, OneOf, Reader
from nas.core.text import shown
from nas.latency.backends import Backend, graph_of
from nas.latency.measure.rounds import MeasuringProgress, MeasuringReport, Rounds, measure
from nas.latency.measure.samples import JobRecord, SampleFile, header

MANIFEST = "bundle.json"
PORTABLE = ("onnxruntime", "litert")
"""The backends whose runtime is all that a device needs."""
CARRIED = (
    "core/__init__.py",
    "core/errors.py",
    "core/exact_int8.py",
    "core/files.py",
    "core/text.py",
    "core/strict_json.py",
    "core/schema.py",
    "core/jsonl.py",
    "core/machine.py",
    "latency/__init__.py",
    "latency/backends/__init__.py",
    "latency/measure/__init__.py",
    "latency/measure/estimates.py",
    "latency/measure/on_target.py",
    "latency/measure/rounds.py",
    "latency/measure/samples.py",
)
"""The files of this package that a bundle needs, beside its backend."""

_SECONDS_BETWEEN_LINES = 10
_MAX_MODEL = 2**31


def main(bundle: Path) -> int:
    """Measure `bundle` as the command line says; return the exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    parser = argparse.ArgumentParser(prog=f"python {bundle.name}", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the file of samples")
    parser.add_argument("--threads", type=int, default=1, help="threads, 1 by default")
    parser.add_argument("--cores", help="cores to stay on, as in 2,3 (default: the fastest)")
    parser.add_argument(
        "--minutes", type=float, help="begin nothing after so many minutes, the most telling first"
    )
    parser.add_argument(
        "--rounds", type=int, help="repetitions of every model (default: as needed)"
    )
    parser.add_argument("--settings", help=argparse.SUPPRESS)  # all of `Rounds`, as JSON
    parser.add_argument("--progress", type=Path, help=argparse.SUPPRESS)  # a file, for another
    given = parser.parse_args()
    try:
        cores = tuple(int(core) for core in given.cores.split(",")) if given.cores else None
    except ValueError:
        parser.error(f"--cores {given.cores}: expected numbers, as in 0 or 2,3")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: expected 1 or more")
    if given.minutes is not None and not given.minutes > 0:
        parser.error(f"--minutes {given.minutes:g}: expected a number above 0")
    rounds = Rounds.of(given.rounds, minutes=given.minutes)
    if given.settings:
        rounds = Rounds(**strict_json.parse(given.settings))
    report = partial(_write_progress, given.progress) if given.progress else None
    try:
        run(bundle, given.out, threads=given.threads, cores=cores, rounds=rounds, report=report)
    except NasError as error:
        logging.error("error: %s", error)
        return 2
    except KeyboardInterrupt:
        logging.error("stopped; the same command resumes")
        return 130
    logging.info("%s is complete; make the table: nas latency build %s", given.out, given.out)
    return 0


def run(
    bundle: Path,
    out: Path,
    *,
    threads: int,
    cores: tuple[int, ...] | None,
    rounds: Rounds,
    report: MeasuringReport | None = None,
) -> None:
    """Measure all models in `bundle` into the samples at `out`, or resume that.

    Progress goes to `report`, which is called at most every second, and to the log.

    Raises:
        NasError: if the runtime is missing, or refuses its options or a reference network.
        RunError: if `out` is of another measurement, or cannot be written.
        BadFile: if `bundle` is damaged.
    """
    with open_bundle(bundle) as archive:
        manifest = read_manifest(archive, bundle)
        backend = _backend(manifest, threads)
        dtype, graph = manifest.dtype, graph_of(manifest.backend, manifest.dtype)
        head = header(
            manifest.plan, runtime=backend.runtime, threads=threads, dtype=dtype, graph=graph
        )
        rounds = rounds if rounds.order else replace(rounds, order=manifest.order)
        models = [partial(_model, archive, bundle, manifest, name) for name in manifest.models]
        with closing(SampleFile(out, head)) as file:
            kept = machine.pin(cores, threads=threads)
            known = {**machine.describe(kept), "backend": manifest.backend}
            found = measure(
                models, backend.open, file, rounds=rounds, machine=known, report=_Lines(report)
            )
    logging.info("noise of the machine: %.1f %%", 100 * found.noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The plan of a manifest; see `nas.latency.measure.plan`."""

    name: str
    jobs: tuple[JobRecord, ...]
    choices: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle holds: the plan, and the name in the zip of each job's model.

    `order` is that of the jobs where time is short (`Rounds`); `refused` says of models by their
    names why they could not be made.
    """

    schema: int
    version: str
    backend: Annotated[str, OneOf(PORTABLE)]
    dtype: str
    plan: Mapping[str, Any]
    models: tuple[str, ...]
    order: tuple[int, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_bundle(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle.

    Raises:
        BadFile: if it is no zip.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except _BAD_ZIP as error:
        raise BadFile(f"{path} is no bundle, or is damaged: {error}") from None
    with archive:
        yield archive


def read_manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    """Return the manifest of the bundle at `path`.

    Raises:
        BadFile: if it is missing or malformed; it names the key.
    """
    read = Reader(f"{path}: {MANIFEST}")
    try:
        content = strict_json.parse(_content(archive, path, MANIFEST))
    except strict_json.Malformed as error:
        raise read.fail(str(error)) from None
    found = read.record(content, Manifest)
    if found.schema != SCHEMA:
        raise read.fail(f"schema is {found.schema}; this version reads {SCHEMA}")
    plan = read.get(content, "plan", _Plan)
    if len(plan.jobs) != len(found.models):
        raise read.fail(f"{len(plan.jobs)} jobs, but {len(found.models)} models")
    return found


def _model(archive: zipfile.ZipFile, path: Path, manifest: Manifest, name: str) -> bytes:
    if name in manifest.refused:
        raise NasError(manifest.refused[name])
    return _content(archive, path, name)


def _content(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """Return a file of a bundle.

    Raises:
        BadFile: if it is missing, damaged, or unpacks to more than any model has.
    """
    try:
        if archive.getinfo(name).file_size > _MAX_MODEL:
            raise BadFile(f"{path}: {name} is larger than {_MAX_MODEL} bytes")
        return archive.read(name)
    except KeyError:
        raise BadFile(f"{path} is no bundle, or is damaged: it has no {shown(name)}") from None
    except (OSError, EOFError, *_BAD_ZIP) as error:
        raise BadFile(f"{path} is damaged: {shown(name)}: {error}") from None


_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    RuntimeError,
    NotImplementedError,
    struct.error,
)
"""What zipfile raises for what is no zip, is damaged, encrypted, or packed otherwise."""


def _backend(manifest: Manifest, threads: int) -> Backend:
    try:
        module = importlib.import_module(f"nas.latency.backends.{manifest.backend}")
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="measuring") from None
    backend: Backend = module.create(threads=threads, dtype=manifest.dtype)
    return backend


class _Lines:
    """Logs how far the measurement is, at most every ten seconds, and reports it every second."""

    def __init__(self, report: MeasuringReport | None) -> None:
        self._logged = self._reported = time.monotonic()
        self._report = report

    def __call__(self, now: MeasuringProgress) -> None:
        at = time.monotonic()
        if self._report and at - self._reported >= 1:
            self._reported = at
            self._report(now)
        if at - self._logged >= _SECONDS_BETWEEN_LINES:
            self._logged = at
            logging.info(
                "%d of %d done, at most %.0f min left", now.done, now.total, now.seconds_left / 60
            )


def _write_progress(path: Path, now: MeasuringProgress) -> None:
    """Write `now` into the file at `path`, for who watches; a full disk is not its matter."""
    new = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        new.write_text(strict_json.dumps(asdict(now)), encoding="ascii")
        new.replace(path)
