"""The contract of strategies; a new one is tested without being listed."""

from collections.abc import Callable

import pytest

from nas.core.plugins import available
from nas.testing.strategies import CHECKS, EXPENSIVE

NEEDS = {"gp": "torch", "cmaes": "cmaes"}


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.torch] if name in EXPENSIVE else [])
        for name in available("strategies")
    ]
)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each strategy in turn."""
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    return str(request.param)


def test_it_has_one_line_that_describes_it(name: str) -> None:
    assert available("strategies")[name].endswith(".")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(name: str, check: Callable[[str], None]) -> None:
    check(name)
