"""The contract of evaluators: all in the folder, with default options."""

from collections.abc import Callable

import pytest
import supernets

from nas.core import plugins
from nas.testing.evaluators import CHECKS, TRAINING

OPTIONS = {
    "proxy": 'proxy:epochs=1,rungs=1,resolution=32,data="shapes:count=64,classes=2"',
    "zero_cost": "zero_cost:batch=4,resolution=32",
}
NAMES = [
    pytest.param(name, marks=pytest.mark.torch) if name in TRAINING else name
    for name in plugins.available("evaluators")
]


@pytest.fixture(params=NAMES)
def text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param in TRAINING:
        pytest.importorskip("torch")
    if request.param == "supernet":
        folder = tmp_path_factory.getbasetemp() / "supernet"
        return f"supernet:{supernets.trained(folder)}"  # it is trained once
    return OPTIONS.get(request.param, str(request.param))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(text: str, check: Callable[[str], None]) -> None:
    check(text)
