"""What `pytest --pyargs nas.testing --plugin NAME` runs."""

from collections.abc import Callable

import pytest

from nas.testing.suites import checks, kind_of_plugin


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every check of every plugin."""
    named = metafunc.config.getoption("--plugin", default=[])
    wanted = metafunc.config.getoption("--plugin-kind", default="")
    found = [
        pytest.param(text, check, id=f"{text}-{check.__name__}")
        for text in named
        for check in checks(wanted or kind_of_plugin(text))
    ]
    metafunc.parametrize(("text", "check"), found)


def test_contract(text: str, check: Callable[[str], None]) -> None:
    """The plugin keeps to what is agreed."""
    check(text)
