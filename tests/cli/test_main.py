"""The command line as a whole: help, one-line errors, exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from nas import cli

ROOT = Path(__file__).parents[2]
COMMANDS = cli.nas.list_commands(click.Context(cli.nas))


def _words(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that is no group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _words(command, *before, name)
        else:
            yield (*before, name)


Nas = Callable[..., object]


def test_help_names_every_command(nas: Nas) -> None:
    reply = nas("--help")
    assert reply.code == 0
    assert {"list", "search", "show", "export", "study"} <= set(COMMANDS)
    assert all(f"\n  {name} " in reply.out for name in COMMANDS)


@pytest.mark.parametrize("words", list(_words(cli.nas)), ids=" ".join)
def test_every_command_has_help_and_json(nas: Nas, words: tuple[str, ...]) -> None:
    reply = nas(*words, "--help")
    assert (reply.code, reply.err) == (0, "")
    assert reply.out.startswith("Usage: ")
    assert "--json" in reply.out


def test_help_of_a_group_names_its_commands(nas: Nas) -> None:
    reply = nas("latency", "--help")
    assert (reply.code, reply.err) == (0, "")
    names = [words[1] for words in _words(cli.nas) if words[0] == "latency"]
    assert {"measure", "validate", "import", "check"} <= set(names)
    assert all(f"\n  {name} " in reply.out for name in names)


def test_without_a_command_the_help_is_shown(nas: Nas) -> None:
    reply = nas()
    assert "Usage: " in reply.out + reply.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("serach", "unknown command 'serach'; did you mean search?"),
        ("latency valdate", "unknown command 'valdate'; did you mean validate?"),
        ("show", "Missing argument 'ARCH'."),
        ("show efficientnet_b9", "unknown architecture 'efficientnet_b9'; did you mean efficientn"),
        ("show efficientnet_b0 --latency-table pixel4", "unknown latency table 'pixel4'; did you"),
        ("show efficientnet_b0 --era 1999", "unknown era of latency table 'pixel1' '1999'"),
        ("show nowhere/net.yaml", "nowhere/net.yaml: no such file"),
        ("show nowhere:best", "there is no run folder nowhere"),
        ("list spices", "unknown kind 'spices'; did you mean spaces"),
        ("export efficientnet_b0", "an export needs a format or a path that ends in one"),
        ("export efficientnet_b0 --format yml", "unknown exporter 'yml'; did you mean yaml?"),
        ("export efficientnet_b0 --out /proc/b0.yaml", "/proc/b0.yaml cannot be written"),
        ("study nowhere", "nowhere is not a run folder: it has no run.yaml"),
        ("search --space mbcon", "unknown search space 'mbcon'; did you mean mbconv, "),
        ("search --trials many", "'many' is not a valid integer"),
        ("search --trials 0", "trials must be a whole number >= 1"),
        ("search --sead 3", "No such option"),
        ("search --strategy archiv", "unknown strategy 'archiv'; did you mean archive?"),
        ("search --strategy nowhere.mine", "Python finds no module nowhere"),
        ("search --reward target=80 --objective min:macs", "leave out either --reward or --obj"),
        ("search --limit latency_ms<80", "expected METRIC<=NUMBER or METRIC>=NUMBER"),
        ("search --limit latency<=80", "unknown metric 'latency'; did you mean latency_ms"),
        ("search --space mnasnet_b0 --limit latency_ms<=5", "is at least 1"),
        ("search --limit params>=1G", "params>=1000000000 cannot be satisfied: params in space mb"),
        (
            "search --space mnasnet_b0 --limit params<=1000",
            "in space mnasnet_b0 is at least 1798072",
        ),
        ("search --space mnasnet_b0 --limit macs<=60M --limit params>=8M", "contradict each other"),
        ("search --config nowhere.yaml", "nowhere.yaml: No such file"),
        ("search --out /proc/run", "/proc/run"),
        ("search --out /dev/null", "/dev/null"),
        ("search --seed-arch mobilenet_v1", "mobilenet_v1 is not in space mbconv: it has 5"),
        ("search --space mnasnet --evaluator surrogate", "mnasnet"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    nas: Nas, words: str, message: str
) -> None:
    reply = nas(*words.split())
    assert reply.code == 2
    assert reply.out == ""
    assert message in reply.err
    assert len(reply.err.splitlines()) == 1
    assert reply.err.startswith("error: ")


def test_a_bug_shows_its_traceback(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: str) -> dict[str, str]:
        raise ZeroDivisionError

    monkeypatch.setattr("nas.core.plugins.available", broken)
    monkeypatch.setattr(sys, "argv", ["nas", "list"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_process_of_its_own_prints_one_document_and_draws() -> None:
    done = _run("show", "mobilenet_v1@0.75-192", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "mobilenet_v1@0.75-192"
    failed = _run("show", "nothing")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("error: unknown architecture 'nothing'; there are: ")


def test_a_reader_that_stops_reading_causes_no_traceback() -> None:
    words = [sys.executable, "-c", "from nas.cli import main; main()", "list"]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate()
    assert "Traceback" not in err
    assert process.returncode != 0


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from nas.cli import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
