"""Every bundled file loads, says what it is, and fits the others."""

from pathlib import Path

import numpy as np
import pytest

from nas.accuracy.predictor import load_accuracy_model, modelled_spaces
from nas.core import data
from nas.latency.file import load_table
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.space.file import load_space

FILES = [
    path
    for folder in ("search_spaces", "latency_tables", "architectures")
    for path in data.bundled(folder).values()
]
SPACES, TABLES = tuple(data.bundled("search_spaces")), tuple(data.bundled("latency_tables"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_begins_with_a_line_about_itself(path: Path) -> None:
    line = data.first_comment(path)
    assert 10 < len(line) <= 110
    assert data.read_mapping(path)["schema"] == 1


@pytest.mark.parametrize("name", SPACES)
def test_every_space_decodes_random_picks(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    for row in space.sample_matrix(np.random.default_rng(2), 10):
        assert len(lower(space.decode_row(row))) > 10
    assert not space.baseline or space.encode(load_architecture(space.baseline))


@pytest.mark.parametrize("name", data.bundled("architectures"))
def test_every_architecture_lowers(name: str) -> None:
    units = lower(load_architecture(name))
    assert units[-1].out_shape[0] == 1000


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("table", TABLES)
def test_every_table_answers_for_every_space(table: str, space: str) -> None:
    for row in load_space(space).sample_matrix(np.random.default_rng(0), 3):
        assert 0.1 < load_table(table).predict(load_space(space).decode_row(row)).ms < 2000


@pytest.mark.parametrize("name", modelled_spaces())
def test_every_accuracy_model_serves_its_space(name: str) -> None:
    space = load_space(name)
    rows = space.sample_matrix(np.random.default_rng(0), 50)
    top1 = load_accuracy_model(name, space).accuracy(rows)
    assert ((top1 > 0.3) & (top1 < 0.9)).all()
