"""Pack a measurement into one zip for a device that has only Python, numpy and the runtime."""

import zipfile
from dataclasses import replace
from pathlib import Path

from nas.core import strict_json
from nas.core.errors import NasError
from nas.core.files import atomic_path
from nas.core.progress import Report, quiet
from nas.core.schema import SCHEMA
from nas.core.versions import code_version
from nas.latency.measure.on_target import CARRIED, MANIFEST, PORTABLE
from nas.latency.measure.plan import MeasuringJob, Plan, plan_validation, to_mapping
from nas.latency.measure.run import Target
from nas.latency.measure.samples import VALIDATION
from nas.space.space import Space

_PACKAGE = Path(__file__).resolve().parents[2]
_START = '''"""Measure this bundle: python BUNDLE.zip --out samples.jsonl."""

import sys
from pathlib import Path

from nas.latency.measure.on_target import main

sys.exit(main(Path(__file__).parent))
'''
_INIT = '"""The part of the package that measures a bundle; version {version}."""\n'


def with_validation(plan: Plan, space: Space, networks: int) -> Plan:
    """Return `plan` with random networks of `space` and the zoo, to validate the table with."""
    validation = plan_validation(space, networks=networks, known=frozenset(plan.fitted_on))
    return replace(plan, jobs=(*plan.jobs, *validation.of(VALIDATION)))


def write_bundle(
    plan: Plan, path: Path, *, target: Target, report: Report = quiet
) -> tuple[str, ...]:
    """Write the models of `plan` with what measures them; return what the backend refused.

    Raises:
        NasError: if the backend needs more on the target than its runtime, or its converter is
            missing, or the path cannot be written.
    """
    backend = target.create()
    if target.backend not in PORTABLE:
        raise NasError(f"bundles are for {' and '.join(PORTABLE)}, not for {target.backend}")
    jobs: list[MeasuringJob] = []
    refused: list[str] = []
    with atomic_path(path, follow=True) as temporary, _zip(temporary) as archive:
        for number, job in enumerate(plan.jobs):
            try:
                content = backend.compile(job.units)
            except NasError as error:
                if not number:
                    raise
                refused.append(f"{job.name}: {error}")
                continue
            archive.writestr(_model_name(len(jobs), backend.suffix), content)
            jobs.append(job)
            report(number + 1, len(plan.jobs), "")
        _write_code(archive, target)
        archive.writestr(
            MANIFEST,
            strict_json.dumps(
                {
                    "schema": SCHEMA,
                    "version": code_version(),
                    "backend": target.backend,
                    "dtype": target.dtype,
                    "plan": to_mapping(replace(plan, jobs=tuple(jobs))),
                    "models": [_model_name(i, backend.suffix) for i in range(len(jobs))],
                }
            ),
        )
    return tuple(refused)


def _zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)


def _model_name(number: int, suffix: str) -> str:
    return f"models/{number:04d}{suffix}"


def _write_code(archive: zipfile.ZipFile, target: Target) -> None:
    archive.writestr("__main__.py", _START)
    archive.writestr("nas/__init__.py", _INIT.format(version=code_version()))
    for name in (*CARRIED, f"latency/backends/{target.backend}.py"):
        archive.write(_PACKAGE / name, f"nas/{name}")
