"""The options of `pytest --pyargs nas.testing`; pytest loads this file where nas is installed."""

import pytest

for part in ("backends", "blocks", "evaluators", "exporters", "runners", "strategies"):
    pytest.register_assert_rewrite(f"nas.testing.{part}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --plugin and --plugin-kind."""
    group = parser.getgroup("nas", "contract suites of nas")
    group.addoption(
        "--plugin",
        action="append",
        default=[],
        help="a plugin to test with nas.testing, as in my_package.my_strategy:rate=0.5",
    )
    group.addoption(
        "--plugin-kind", default="", help="its kind, as in strategies; found out where not given"
    )
