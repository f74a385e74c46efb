"""Contract suites: what every plugin of a kind keeps to, for your own as for ours.

    pytest --pyargs nas.testing --plugin my_package.my_strategy

or, in a test of your own:

    from nas.testing import check
    check("my_package.my_strategy:rate=0.5")
"""

from nas.testing.suites import check, checks, kind_of_plugin

__all__ = ["check", "checks", "kind_of_plugin"]
