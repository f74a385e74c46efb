"""The suites that users run: they find the kind, pass correct plugins, and name errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from nas.core.errors import BadPlugin, NasError
from nas.space.space import Space
from nas.testing import check, checks, kind_of_plugin
from nas.testing.spaces import tiny
from nas.testing.suites import SUITES

CONSTANT = '''"""Says a constant."""

import numpy as np


class Constant:
    provides, seconds, note = ("top1",), 1.0, ""
    calls = 0

    def __call__(self, candidates):
        return {"top1": np.full(len(candidates), 0.5)}

    def deviation(self, candidates):
        return {}

    def __str__(self):
        return "constant"


def create(space, *, other: bool = False):
    return Constant()
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name = f"suites_{tmp_path.name}"
    (tmp_path / name).mkdir()
    return name


def write(package: str, text: str) -> str:
    Path(package, "mine.py").write_text(text)
    return f"{package}.mine"


def test_the_space_of_the_suites_is_that_of_the_tests() -> None:
    from conftest import DATA  # type: ignore[import-not-found]

    from nas.space.file import load_space

    found: Space = load_space(DATA / "tiny.yaml")
    assert tiny().fingerprint == found.fingerprint


def test_every_check_says_what_it_checks() -> None:
    for kind in SUITES:
        assert len(checks(kind)) >= 4
        assert all((check.__doc__ or "").strip() for check in checks(kind))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("guided", "strategies"),
        ("costs", "evaluators"),
        ("fake", "backends"),
        ("mbconv", "blocks"),
        ("onnx", "exporters"),
        ("ray", "runners"),
    ],
)
def test_the_kind_is_found_out(text: str, kind: str) -> None:
    assert kind_of_plugin(text) == kind


def test_what_has_no_suite_is_refused(package: str) -> None:
    with pytest.raises(NasError, match="unknown kind of plugins with a suite 'devices'"):
        checks("devices")
    with pytest.raises(NasError, match="does not tell what kind it is; name one of: strategies"):
        kind_of_plugin(write(package, "def create(thing):\n    return thing\n"))


def test_what_is_right_passes(package: str) -> None:
    check(write(package, CONSTANT))
    check("random")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.5)}", "np.random.default_rng().random())}", "one by one: top1 is .* alone and"),
        ("0.5)}", "np.nan)}", "every metric and candidate: top1 is not finite"),
        ("return {}", 'return {"top1": np.zeros(len(candidates))}', "has a deviation of 0; leave"),
        ('    def __str__(self):\n        return "constant"\n', "", "the same in every process"),
        ('return {"top1"', 'candidates.picks[:] = 0\n        return {"top1"', "were changed"),
    ],
)
def test_what_is_wrong_is_reported(package: str, old: str, new: str, message: str) -> None:
    assert old in CONSTANT
    with pytest.raises(AssertionError, match=rf"(?s)^suites_\w+\.mine: .*{message}"):
        check(write(package, CONSTANT.replace(old, new)))


def test_what_lacks_a_part_is_reported(package: str) -> None:
    with pytest.raises(BadPlugin, match="lacks seconds"):
        check(write(package, CONSTANT.replace("provides, seconds, note", "provides, s, note")))


EXPORTER = '''"""Writes the name of a network."""

from nas.core.errors import NasError
from nas.exporting.formats import Exporter, FileExporter


def create(*, upper: bool = False) -> Exporter:
    return FileExporter(
        suffix=".txt",
        content=lambda arch, weights, metadata: arch.name.encode(),
        holds_weights=False,
    )
'''


def test_an_exporter_is_recognised_by_what_it_returns(package: str) -> None:
    name = write(package, EXPORTER)
    assert kind_of_plugin(name) == "exporters"
    check(name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('".txt"', '"txt"', "begins with a dot: suffix is 'txt'"),
        ("arch.name.encode()", "str(id(object())).encode() + os.urandom(4)", "exports .* differ"),
        ("holds_weights=False", "holds_weights=True", "other weights give the same files"),
    ],
)
def test_what_is_wrong_with_an_exporter_is_said(
    package: str, old: str, new: str, message: str
) -> None:
    assert old in EXPORTER
    text = EXPORTER.replace(old, new).replace("from nas.core", "import os\n\nfrom nas.core")
    with pytest.raises(AssertionError, match=rf"(?s)^suites_\w+\.mine: .*{message}"):
        check(write(package, text))


RUNNER = '''"""Works in this process."""

from nas.core.workers.runner import InProcess


class Mine(InProcess):
    workers = 2


def create(*, workers: int):
    return Mine()
'''


def test_a_runner_without_processes_is_refused_in_one_line(package: str) -> None:
    name = write(package, RUNNER)
    assert kind_of_plugin(name) == "runners"
    with pytest.raises(AssertionError, match="did not run in two processes"):
        check(name)


def test_pytest_runs_a_suite_by_the_name_of_a_plugin(package: str) -> None:
    name = write(package, CONSTANT)
    words = ["-p", "nas.testing.options", "--pyargs", "nas.testing", "--plugin", name, "-q"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "8 passed" in done.stdout, done.stdout + done.stderr
