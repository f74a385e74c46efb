"""Report what is installed, what each command lacks, and how noisy this machine is."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from nas.cli._print import print_json, put
from nas.core import doctor
from nas.core.doctor import Cache, Extra
from nas.core.noise import Noise, measure_noise


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Report what is installed, what each command lacks, and how noisy this machine is.

    This measures for a second, and changes nothing.
    """
    found, noise = doctor.extras(), measure_noise()
    if as_json:
        print_json(_document(found, noise))
        return
    for line in _lines(found, noise):
        put(line)


def _document(found: tuple[Extra, ...], noise: Noise) -> dict[str, Any]:
    missing = doctor.commands(found)
    return {
        "schema": 1,
        "versions": doctor.software(),
        "extras": {extra.name: dict(extra.packages) for extra in found},
        "machine": doctor.processor(),
        "caches": [asdict(cache) for cache in doctor.caches()],
        "free_gb": round(doctor.free_gb(), 1),
        "missing": {
            command: [extra.install for extra in extras]
            for command, extras in missing.items()
            if extras
        },
        "noise": {**asdict(noise), "verdict": noise.verdict},
    }


def _lines(found: tuple[Extra, ...], noise: Noise) -> Iterator[str]:
    yield "versions"
    yield from (f"  {name} {version or 'missing'}" for name, version in doctor.software().items())
    yield "\nextras"
    yield from (f"  {_extra(extra)}" for extra in found)
    yield "\ncommands"
    for command, extras in doctor.commands(found).items():
        needs = "; ".join(extra.install for extra in extras)
        yield f"  {command}: {needs or 'ready'}"
    yield "\nmachine"
    yield from (f"  {line}" for line in _machine(doctor.processor()))
    yield "\ncaches"
    yield from (f"  {_cache(cache)}" for cache in doctor.caches())
    yield f"  free in this folder: {doctor.free_gb():.1f} GB"
    yield "\nnoise"
    yield from (f"  {line}" for line in _noise(noise))


def _extra(extra: Extra) -> str:
    said = ", ".join(f"{name} {version or 'missing'}" for name, version in extra.packages.items())
    return f"{extra.name}: {said}" + (f"; {extra.install}" if extra.missing else "")


def _machine(known: dict[str, Any]) -> Iterator[str]:
    memory = f", {known['memory_gb']} GB" if known["memory_gb"] else ""
    yield f"{known['processor']}, {known['cores']} cores{memory}"
    yield f"instruction sets: {', '.join(known['instruction_sets']) or 'unknown'}"
    threads = ", ".join(f"{name} {count}" for name, count in known["threads"].items())
    settings = ", ".join(f"{name}={value}" for name, value in known["settings"].items())
    yield f"threads of linear algebra: {threads or 'unknown'}" + (settings and f" ({settings})")


def _cache(cache: Cache) -> str:
    used = "none yet" if cache.used is None else f"{cache.used / 1e6:,.0f} MB"
    return f"{cache.what}: {used} in {cache.path}"


def _noise(noise: Noise) -> Iterator[str]:
    yield noise.verdict
    yield (
        f"the same work takes {100 * noise.typical:.1f} % longer than at its fastest, and 1 time "
        f"in 20 more than {100 * noise.rare:.1f} % ({noise.runs:,} runs)"
    )
    if noise.stolen is not None:
        yield f"taken by other virtual machines: {100 * noise.stolen:.1f} %"
    if noise.load is not None:
        yield f"load of the last minute: {noise.load:.2f} per core"
