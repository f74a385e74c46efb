"""Pack a measurement into one zip for a device that has only Python, numpy and the runtime."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nas.core import strict_json
from nas.core.errors import NasError
from nas.core.files import atomic_path
from nas.core.progress import Report, quiet
from nas.core.schema import SCHEMA
from nas.core.versions import code_version
from nas.latency.measure.on_target import CARRIED, MANIFEST, PORTABLE
from nas.latency.measure.plan import Plan, plan_validation, to_mapping
from nas.latency.measure.run import Target
from nas.latency.measure.samples import VALIDATION
from nas.latency.measure.selection import operator_model, order_jobs
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
    names = [_model_name(number, backend.suffix) for number in range(len(plan.jobs))]
    refused: dict[str, str] = {}
    with atomic_path(path, follow=True) as temporary, _zip(temporary) as archive:
        for number, (job, name) in enumerate(zip(plan.jobs, names, strict=True)):
            try:
                archive.writestr(name, backend.compile(job.units))
            except NasError as error:
                if not number:
                    raise
                refused[name] = str(error)
            report(number + 1, len(plan.jobs), "")
        _write_code(archive, target)
        archive.writestr(MANIFEST, _manifest(plan, target, names, refused))
    return tuple(
        f"{job.name}: {refused[name]}"
        for job, name in zip(plan.jobs, names, strict=True)
        if name in refused
    )


def _manifest(plan: Plan, target: Target, names: Sequence[str], refused: Mapping[str, str]) -> str:
    content = {
        "schema": SCHEMA,
        "version": code_version(),
        "backend": target.backend,
        "dtype": target.dtype,
        "plan": to_mapping(plan),
        "models": list(names),
        "order": list(order_jobs(plan, model=operator_model())),
        "refused": dict(refused),
    }
    return strict_json.dumps(content)


def bundle_key(plan: Plan, target: Target) -> str:
    """Return 16 hex digits that tell a measurement from others: its plan, options and code."""
    digest = hashlib.sha256(strict_json.dumps(to_mapping(plan)).encode())
    digest.update(
        repr((code_version(), target.backend, target.dtype, target.graph, target.threads)).encode()
    )
    for name in _code(target):
        digest.update((_PACKAGE / name).read_bytes())
    return digest.hexdigest()[:16]


def _zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)


def _model_name(number: int, suffix: str) -> str:
    return f"models/{number:04d}{suffix}"


def _write_code(archive: zipfile.ZipFile, target: Target) -> None:
    archive.writestr("__main__.py", _START)
    archive.writestr("nas/__init__.py", _INIT.format(version=code_version()))
    for name in _code(target):
        archive.write(_PACKAGE / name, f"nas/{name}")


def _code(target: Target) -> tuple[str, ...]:
    return (*CARRIED, f"latency/backends/{target.backend}.py")
