"""The contract of backends; a new one is tested without being listed."""

from collections.abc import Callable

import pytest

from nas.core.errors import MissingPackage
from nas.core.plugins import available
from nas.network.lowering import kinds_of_blocks
from nas.testing.backends import CHECKS, JOINED, UNITS

NAMES = tuple(available("backends"))
MARKED = [pytest.param(n, marks=pytest.mark.torch if "torch" in n else ()) for n in NAMES]


def test_the_backends_are_there() -> None:
    assert {"onnxruntime", "torch_cpu", "litert", "fake"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_says_what_it_runs(name: str) -> None:
    assert len(available("backends")[name]) > 20


def test_all_kinds_of_blocks_are_tried() -> None:
    assert {u.block.kind for u in (*UNITS, *JOINED)} == set(kinds_of_blocks())


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(name: str, check: Callable[[str], None]) -> None:
    try:
        check(name)
    except MissingPackage as error:
        pytest.skip(str(error))
