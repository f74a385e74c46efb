"""Spaces as mappings: round trips."""

import pytest

from nas.core.data import bundled
from nas.space.file import load_space, space_from_mapping
from nas.space.mapping import to_mapping


@pytest.mark.parametrize("name", bundled("search_spaces"))
def test_a_space_is_read_back_equal(name: str) -> None:
    space = load_space(name)
    again = space_from_mapping(to_mapping(space))
    assert again == space
    assert again.fingerprint == space.fingerprint
