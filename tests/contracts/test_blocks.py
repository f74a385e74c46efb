"""The contract of kinds of blocks; a new one is tested without being listed."""

from collections.abc import Callable

import pytest

from nas.network.lowering import kind_of, kinds_of_blocks
from nas.testing.blocks import CHECKS

IN_STAGES = [k for k in kinds_of_blocks() if kind_of(k).in_spaces and k not in ("pool", "linear")]


@pytest.mark.parametrize("name", IN_STAGES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(name: str, check: Callable[[str], None]) -> None:
    check(name)
