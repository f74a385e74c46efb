"""What the commands have in common: what to measure, on what, and how far it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from nas.cli._places import PATH
from nas.cli._print import print_table, say
from nas.cli._progress import progress
from nas.core.errors import NasError
from nas.core.plugins import with_option
from nas.latency.measure.bundle import with_validation
from nas.latency.measure.compare import LatencyCheck
from nas.latency.measure.plan import Plan, plan_networks, plan_space
from nas.latency.measure.rounds import MeasuringProgress, MeasuringReport, Rounds
from nas.latency.measure.run import HERE, DeviceAndCores, Target, usual_backend
from nas.report.tables import Table, ms_text
from nas.searching.runs.folder import find_architecture, front_names
from nas.space.file import load_space
from nas.space.heads import Detectors, Head
from nas.space.space import Space

Command = Callable[..., Any]
_NOISY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSelection:
    """What to measure: a space, some architectures, or the front of a run.

    The table of a space is validated on `networks` random ones and the zoo, if that is not 0.
    """

    space: str | None
    head: str | None
    arch: tuple[str, ...]
    run: Path | None
    networks: int

    def plan(self) -> Plan:
        """Return the plan.

        Raises:
            NasError: if nothing is named, or two things.
        """
        if sum((self.space is not None, bool(self.arch), self.run is not None)) != 1:
            raise NasError("name one of --space, --arch (may be repeated) and --run")
        if self.head and self.space is None:
            raise NasError(
                "--head makes detectors of the networks of a --space; an --arch names its own, as "
                f"in {self.head.partition(':')[0]}:mobilenet_v2"
            )
        if self.space is not None:
            space = load_space(self.space)
            if self.head:
                detectors = _detectors(self.head, space)
                return plan_space(detectors.space, detectors=detectors)
            plan = plan_space(space)
            return with_validation(plan, space, self.networks) if self.networks else plan
        if self.run is not None:
            names = [f"{self.run}:{name}" for name in front_names(self.run)]
            return plan_networks(self.run.name, [find_architecture(name) for name in names])
        archs = [find_architecture(name) for name in self.arch]
        return plan_networks(Path(self.arch[0]).stem, archs)


def _detectors(text: str, space: Space) -> Detectors:
    head = Head.parse(text)
    found = Detectors(head=head, space=head.searched(space))
    head.check(found.space)
    return found


def what(*, networks: int) -> Callable[[Command], Command]:
    """Give a command `asked`, from the options that say what to measure."""
    count = click.IntRange(min=0)
    text = "Random networks that validate the table of a space, besides the zoo; 0 for neither."

    def decorate(command: Command) -> Command:
        @click.option("--space", help="All units of a bundled space or a YAML file.")
        @click.option("--head", help="With --space, detectors with this head: units of these.")
        @click.option("--arch", multiple=True, help="An architecture; may be repeated.")
        @click.option("--run", type=PATH, help="The front of a run folder.")
        @click.option("--networks", type=count, default=networks, show_default=True, help=text)
        @wraps(command)
        def wrapped(
            space: str | None, arch: tuple[str, ...], run: Path | None, networks: int, **rest: Any
        ) -> Any:
            head = rest.pop("head")
            asked = ModelSelection(space=space, head=head, arch=arch, run=run, networks=networks)
            return command(asked=asked, **rest)

        return wrapped

    return decorate


def target(command: Command) -> Command:
    """Give a command `target`, from the options that say what to measure on."""

    @click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
    @click.option("--dtype", default="fp32", show_default=True, help="fp32 or int8.")
    @click.option(
        "--backend", help="See nas list backends. [default: onnxruntime; on a phone litert]"
    )
    @where
    @wraps(command)
    def wrapped(
        threads: int, dtype: str, backend: str | None, where: DeviceAndCores, **rest: Any
    ) -> Any:
        backend = backend or usual_backend(where.device)
        made = where.of(Target(backend=backend, threads=threads, dtype=dtype))
        return command(target=made, **rest)

    return wrapped


def where(command: Command) -> Command:
    """Give a command `where`, from the options for the device and its cores."""

    @cores
    @device
    @click.option("--benchmark-model", help="With --device adb, LiteRT's program for the phone.")
    @wraps(command)
    def wrapped(
        cores: tuple[int, ...] | None, device: str, benchmark_model: str | None, **rest: Any
    ) -> Any:
        if benchmark_model:
            device = with_option("devices", device, "benchmark_model", benchmark_model)
        return command(where=DeviceAndCores(device=device, cores=cores), **rest)

    return wrapped


def device(command: Command) -> Command:
    """Add the option for the device to measure on."""
    return click.option(
        "--device",
        default=HERE,
        show_default=True,
        help="Where to measure: local, ssh:user@host[:port] or adb[:SERIAL]; see nas list devices.",
    )(command)


def cores(command: Command) -> Command:
    """Add the option for the cores to stay on."""

    def read(context: click.Context, option: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else tuple(int(number) for number in text.split(","))
        except ValueError:
            raise NasError(f"--cores {text}: expected numbers of cores, as in 0 or 2,3") from None

    return click.option(
        "--cores", callback=read, help="Cores to stay on, as in 2,3. [default: the fastest]"
    )(command)


def rounds(command: Command) -> Command:
    """Give a command `rounds`, from the options that say how long to measure."""

    @click.option(
        "--rounds",
        "count",
        type=click.IntRange(min=1),
        help="Repetitions of every model, and about twice as many of networks that take few "
        "milliseconds. [default: 14 to 24, by its noise]",
    )
    @click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        help="Begin nothing after so many minutes; where they are too few for all, measure what "
        "tells most.",
    )
    @wraps(command)
    def wrapped(count: int | None, minutes: float | None, **rest: Any) -> Any:
        return command(rounds=Rounds.of(count, minutes=minutes), **rest)

    return wrapped


def json_flag(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


@contextmanager
def measuring(*, kept: bool = True) -> Iterator[MeasuringReport]:
    """Give a function that shows how far a measurement is, whose samples are `kept` or not."""
    with progress("measuring", "repetitions") as update:

        def report(now: MeasuringProgress) -> None:
            left = f"at most {duration_text(now.seconds_left)} left"
            noise = f", noise {100 * now.noise:.0f} %" if now.noise else ""
            update(now.done, now.total, f"round {now.round}, {left}{noise}")

        try:
            yield report
        except KeyboardInterrupt:
            resumes = "; what was measured is kept, and the same command resumes"
            say(f"stopped{resumes if kept else ''}")
            raise


def duration_text(seconds: float) -> str:
    """Return a duration in words: "40 s", "3 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def say_noise(noise: float) -> None:
    """Say how noisy the machine was, and what to do where that is too much."""
    text = f"noise of the machine: {100 * noise:.1f} % (median deviation of the reference networks)"
    say(f"{text}: too much; close other programs and measure again" if noise > _NOISY else text)


def say_checked(found: Sequence[LatencyCheck], *, title: str) -> None:
    """Print what was predicted and what was measured, as a table, and what limits that."""
    headings = ("architecture", "predicted ms", "interval", "measured ms", "interval", "error")
    print_table(Table(title=title, headings=headings, rows=tuple(map(_row, found))))
    for note in dict.fromkeys(note for one in found for note in one.notes):
        say(note)


def _row(one: LatencyCheck) -> tuple[str, ...]:
    found, error = one.predicted, one.error
    return (
        one.name,
        ms_text(found.ms) if found else "",
        f"{ms_text(found.low_ms)} - {ms_text(found.high_ms)}" if found else "",
        ms_text(one.measured_ms),
        f"{ms_text(one.measured_low_ms)} - {ms_text(one.measured_high_ms)}",
        f"{100 * error:+.1f} %" if error is not None else "",
    )
