"""A plugin that lacks a part or takes other arguments is refused when it is created."""

from pathlib import Path
from typing import Any

import pytest

from nas.core import plugins
from nas.core.contracts import CONTRACTS, check_parts
from nas.core.errors import BadPlugin
from nas.core.plugins import KINDS, Plugin

STRATEGY = """
class Strategy:
    batch = 1
    def ask(self, count): return None
    def tell(self, trials): pass

def create(problem, *, seed):
    return Strategy()
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a factory of a strategy from source text."""
    monkeypatch.chdir(tmp_path)
    package = f"own_{tmp_path.name}"
    (tmp_path / package).mkdir()

    def make(text: str) -> Any:
        (tmp_path / package / "mine.py").write_text(text)
        name = f"{package}.mine"
        return plugins.create("strategies", Plugin(name=name, options={}), None, seed=0)

    return make


def test_every_kind_has_a_contract() -> None:
    assert set(CONTRACTS) == set(KINDS)


def test_what_has_all_parts_is_taken(made: Any) -> None:
    assert made(STRATEGY).batch == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    batch = 1\n",
            "",
            "lacks batch; nas.searching.problem.Strategy describes what it needs",
        ),
        ("def ask(self, count)", "def propose(self)", "lacks ask;"),
        ("return Strategy()", "pass", "is None; nas.searching"),
        ("(self, count)", "(self)", "ask is called with one argument and does not accept this"),
        ("(self, trials)", "(self, trials, more)", "tell is called with one argument"),
        ("def ask(self, count): return None", "ask = 3", "ask is not a method"),
        (
            "create(problem, *, seed)",
            "create(*, seed)",
            r"expected create\(problem, \*, seed, \.\.\.",
        ),
        (
            "create(problem, *, seed)",
            "create(problem, space, *, seed)",
            "its create has the wrong signature",
        ),
    ],
)
def test_what_is_wrong_is_reported_in_one_line(made: Any, old: str, new: str, message: str) -> None:
    assert old in STRATEGY
    with pytest.raises(BadPlugin, match=rf"^strategy own_\w+\.mine.*{message}") as caught:
        made(STRATEGY.replace(old, new))
    assert "\n" not in str(caught.value)


def test_methods_without_signature_are_accepted() -> None:
    class Odd:
        workers, map, close = 1, max, min

    check_parts("runners", "runner odd", Odd)
