"""The contract of runners: all in the folder, with two workers."""

from collections.abc import Callable, Iterator

import pytest

from nas.core import plugins
from nas.core.workers.runner import Runner
from nas.testing.runners import ON_A_RUNNER, make

NAMES = [
    pytest.param(name, marks=pytest.mark.cluster) if name == "ray" else name
    for name in plugins.available("runners")
]


@pytest.fixture(params=NAMES, scope="module")
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Return one for all checks, since a cluster takes seconds to start."""
    if request.param == "ray":
        pytest.importorskip("ray")
    made = make(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("check", ON_A_RUNNER, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(runner: Runner, check: Callable[[Runner], None]) -> None:
    check(runner)
