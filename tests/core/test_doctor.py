"""Missing packages and the commands that need them; the noise of the machine."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core import doctor, noise
from nas.core.errors import EXTRAS
from nas.core.noise import Noise, measure_noise


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    known = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda m: None if m in modules else known(m))


def test_every_extra_is_reported_with_its_packages() -> None:
    found = {extra.name: extra for extra in doctor.extras()}
    assert found.keys() == EXTRAS.keys()
    assert "pillow" in found["data"].packages
    for name, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        assert len(found[name].missing) == len(missing)


def test_a_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnxruntime", "PIL")
    missing = doctor.commands(doctor.extras())
    assert [e.install for e in missing["nas export --format onnx"]] == [
        "pip install 'nas[measure]'"
    ]
    assert [e.name for e in missing["nas quantize"]][-2:] == ["data", "measure"]
    assert missing["nas search, show, list, scale"] == ()
    (found,) = (extra for extra in doctor.extras() if extra.name == "measure")
    assert "onnxruntime" in found.missing


def test_the_commands_name_extras_that_exist() -> None:
    assert {name for names in doctor.COMMANDS.values() for name in names} <= EXTRAS.keys()


def test_caches_are_weighed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "absent"))
    (tmp_path / "hub" / "models").mkdir(parents=True)
    (tmp_path / "hub" / "models" / "weights").write_bytes(b"x" * 1000)
    (tmp_path / "hub" / "link").symlink_to(tmp_path / "hub" / "models" / "weights")
    hub, copies = doctor.caches()
    assert (hub.used, copies.used) == (1000, None)


def test_this_machine_is_described() -> None:
    found = doctor.processor()
    assert found["processor"]
    assert isinstance(found["cores"], int)
    assert doctor.software()["numpy"] == np.__version__
    assert doctor.free_gb() > 0


def test_noise_is_measured() -> None:
    found = measure_noise(seconds=0.0)
    assert found.runs >= 20
    assert 0 <= found.typical <= found.rare


@pytest.mark.parametrize(
    ("typical", "rare", "word"),
    [(0.01, 0.05, "quiet"), (0.1, 0.5, "some noise"), (0.3, 0.5, "noisy"), (0.01, 2.0, "noisy")],
)
def test_the_verdict_follows_the_numbers(typical: float, rare: float, word: str) -> None:
    found = Noise(runs=100, typical=typical, rare=rare, stolen=None, load=None)
    assert found.verdict.startswith(word)


def test_stolen_time_is_a_share() -> None:
    before, after = (10, 0, 0, 80, 0, 0, 0, 10, 0, 0), (20, 0, 0, 150, 0, 0, 0, 30, 0, 0)
    assert noise._share(before, after) == pytest.approx(0.2)
    assert noise._share((), after) is None
    assert noise._share(after, after) is None


def test_the_command_says_all_of_it(nas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "ray")
    monkeypatch.setattr(
        "nas.cli.doctor.measure_noise", lambda: Noise(runs=9, typical=0, rare=0, stolen=0, load=1)
    )
    reply = nas("doctor")
    assert reply.code == 0
    for text in ("ray missing", "--runner ray, and URLs: pip install 'nas[ray]'", "  quiet\n"):
        assert text in reply.out
