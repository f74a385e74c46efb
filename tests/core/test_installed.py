"""Plugins of other packages are found by their entry points."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.core import installed, plugins
from nas.core.errors import MissingPackage, NasError, UnknownName
from nas.core.plugins import Plugin

STRATEGY = '''"""Proposes nothing."""


class Nothing:
    batch = 1

    def ask(self, count):
        return None

    def tell(self, trials):
        pass


def create(problem, *, seed, size: int = 1):
    return Nothing()


other = create
'''
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a package of plugins, given its name and entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(package: str, points: str, text: str = STRATEGY) -> None:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "mine.py").write_text(text)
        folder = tmp_path / f"{package}-1.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        (folder / "entry_points.txt").write_text(points)
        installed._groups.cache_clear()

    yield made
    installed._groups.cache_clear()


def test_a_plugin_of_another_package_is_listed_and_made(
    install: Install, nas: Callable[..., Any]
) -> None:
    install("far_one", "[nas.strategies]\nfar = far_one.mine\n")
    assert plugins.available("strategies")["far"] == "Proposes nothing. (far_one 1.5)"
    assert "far_one.mine" not in sys.modules
    made = plugins.create("strategies", Plugin.parse("far:size=3"), None, seed=0)
    assert type(made).__module__ == "far_one.mine"
    shown = nas("list", "strategies")
    assert "far_one 1.5" in " ".join(shown.out.split())


def test_an_entry_point_may_name_its_function(install: Install) -> None:
    install("far_two", "[nas.strategies]\nfar = far_two.mine:other\nbad = far_two.mine:absent\n")
    assert plugins.load("strategies", "far").__module__ == "far_two.mine"
    with pytest.raises(NasError, match="strategy bad: the module has no function absent"):
        plugins.load("strategies", "bad")


def test_installed_plugins_cannot_replace_bundled_names(install: Install) -> None:
    install("far_three", "[nas.strategies]\nrandom = far_three.mine\n")
    assert plugins.load("strategies", "random").__module__ == "nas.searching.strategies.random"
    assert "far_three" not in plugins.available("strategies")["random"]


def test_two_packages_of_one_name_are_distinguished(install: Install) -> None:
    install("far_four", "[nas.strategies]\nfar = far_four.mine\n")
    install("far_five", "[nas.strategies]\nfar = far_five.mine\n")
    with pytest.raises(
        NasError, match=r"several packages provide it; give one of: far_five.mine, far"
    ):
        plugins.load("strategies", "far")


def test_what_is_not_there_is_reported(install: Install) -> None:
    install("far_six", "[nas.strategies]\nfar = not_there.mine\n[nas.evaluators]\nfar = x.y\n")
    with pytest.raises(MissingPackage, match="strategy far needs not_there; install it"):
        plugins.load("strategies", "far")
    with pytest.raises(UnknownName, match="unknown strategy 'fra'; did you mean far"):
        plugins.load("strategies", "fra")
    assert plugins.available("strategies")["far"] == "from far_six 1.5"
