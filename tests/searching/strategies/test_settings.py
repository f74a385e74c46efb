"""Settings of strategies that make no sense: one line that names them."""

import pytest

from nas.core.errors import NasError
from nas.core.plugins import Plugin, create
from nas.searching.problem import Problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("archive:siblings=0", "strategy archive: siblings must be 1 or more, not 0"),
        ("archive:initial=-3", "strategy archive: initial must be 1 or more, not -3"),
        ("archive:batch=0", "strategy archive: batch must be 1 or more, not 0"),
        ("guided:initial=0", "strategy guided: initial must be 1 or more, not 0"),
        ("guided:explore=2", "strategy guided: explore must be from 0 to 1, not 2"),
        ("guided:explore=nan", "strategy guided: explore must be from 0 to 1, not nan"),
        ("evolution:population=0", "strategy evolution: population must be 1 or more, not 0"),
        ("evolution:tournament=0", "strategy evolution: tournament must be 1 or more, not 0"),
    ],
)
def test_bad_setting_is_named(problem: Problem, text: str, message: str) -> None:
    with pytest.raises(NasError) as caught:
        create("strategies", Plugin.parse(text), problem, seed=0)
    assert str(caught.value) == message
