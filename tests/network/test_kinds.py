"""Kinds of blocks are plugins: found by name, with options, and run only where that is allowed."""

from pathlib import Path

import numpy as np
import pytest

from nas.core import plugins
from nas.core.errors import BadFile, BadPlugin, BadValue, NasError
from nas.core.plugins import FromFile, available
from nas.network.blocks import Block
from nas.network.cost import cost, cost_of
from nas.network.kinds import CHOICES
from nas.network.lowering import kind_of, kinds_of_blocks, lower_block
from nas.network.zoo import load_architecture
from nas.space.file import load_space, space_from_mapping
from nas.space.lookup import Lookup

FUSED = '''"""A full convolution, then a projection."""

from nas.network.kinds import BlockKind, full_conv, pointwise_conv


def create(*, act: str = "none"):
    def lower(block, shape):
        first = full_conv("expand", block, shape, block.hidden_channels, groups=1)
        return first, pointwise_conv("project", first.out_shape, block.out_channels, act)

    return BlockKind(lower=lower, choices=("expansion", "kernel", "act", "skip"))
'''
SPACE = """schema: 1
name: mine
resolution: [32, 64]
stem:
- {kind: conv, width: 8, kernel: 3, stride: 2}
stages:
- {kind: [PLACE.fused, mbconv, conv], width: [8, 16], stride: 1, layers: [1, 2], expansion: [2, 3],
   se: [false, true]}
- {kind: 'PLACE.fused:act=relu', width: 16, stride: 2, expansion: 2.5}
head:
- {kind: pool}
- {kind: linear, width: 10, act: none}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a package in the working folder that has a kind "fused"."""
    package = f"kinds_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "fused.py").write_text(FUSED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text(SPACE.replace("PLACE", package))
    return package


def test_every_kind_says_what_it_is_in_a_line() -> None:
    assert all(len(line) > 10 and line.endswith(".") for line in available("blocks").values())
    for name in kinds_of_blocks():
        assert set(kind_of(name).choices) <= set(CHOICES)


def test_a_kind_of_its_own_is_lowered_with_its_options(place: str) -> None:
    fields = {"in_channels": 8, "out_channels": 8, "hidden_channels": 24, "kernel": 3}
    plain = lower_block(Block(kind=f"{place}.fused", **fields), (8, 6, 6))  # type: ignore[arg-type]
    other = lower_block(Block(kind=f"{place}.fused:act=relu", **fields), (8, 6, 6))  # type: ignore[arg-type]
    assert [layer.act for layer in plain.layers] == ["relu6", "none"]  # type: ignore[union-attr]
    assert [layer.act for layer in other.layers] == ["relu6", "relu"]  # type: ignore[union-attr]
    assert plain.shortcut == "identity"
    assert (
        plain.key == f"{place}.fused 6x6x8 -> 6x6x8 hidden 24 kernel 3 stride 1 relu6 skip-identity"
    )
    assert cost_of(plain).params == 8 * 24 * 9 + 2 * 24 + 24 * 8 + 2 * 8


def test_what_is_no_kind_is_refused_by_name(place: str) -> None:
    fields = {"in_channels": 8, "out_channels": 8}
    for kind, message in [
        ("fusde", "unknown block kind 'fusde'; there are: add, concat"),
        (f"{place}.fused:atc=relu", f"block kind {place}.fused: unknown option 'atc'; did you"),
        ("conv:start=3", "block kind conv: unknown option 'start'"),
        (f"{place}.fused", f"the {place}.fused block needs hidden_channels"),
    ]:
        with pytest.raises(NasError, match=message):
            lower_block(Block(kind=kind, **fields), (8, 6, 6))  # type: ignore[arg-type]
    for kind in ("a kind", 3, ""):
        with pytest.raises(NasError):
            lower_block(Block(kind=kind, **fields), (8, 6, 6))  # type: ignore[arg-type]


def test_a_kind_with_another_choice_is_refused(place: str) -> None:
    Path(place, "odd.py").write_text(FUSED.replace('"skip"', '"skpi"'))
    with pytest.raises(NasError, match=r"unknown choice of block .*odd 'skpi'; did you mean skip"):
        kind_of(f"{place}.odd")
    Path(place, "none.py").write_text('"""Nothing."""\n\n\ndef create():\n    return 3\n')
    with pytest.raises(BadPlugin, match=r"block kind .*none lacks lower, choices, in_spaces"):
        kind_of(f"{place}.none")


def test_what_a_file_names_runs_only_where_it_is_allowed(place: str) -> None:
    with pytest.raises(NasError, match=f"block kind {place}.fused would run the Python module"):
        load_space("mine.yaml")
    with pytest.raises(BadValue, match="would run the Python module"):
        Block(kind=FromFile(f"{place}.fused"), in_channels=8, out_channels=8)
    with plugins.allowing(True):
        space = load_space("mine.yaml")
    with pytest.raises(NasError, match="would run"), plugins.allowing(False):
        load_space("mine.yaml")
    arch = space.decode_row(np.zeros(len(space.columns), np.uint8))
    Path("arch.yaml").write_text(
        "schema: 1\nresolution: 8\nstem: []\nhead: []\nstages:\n"
        f"- - {{kind: {place}.fused, in_channels: 3, out_channels: 3, hidden_channels: 6}}\n"
    )
    with pytest.raises(BadFile, match=r"line 6: stages.0.0: block kind .* would run"):
        load_architecture("arch.yaml")
    Path("nas").mkdir()
    Path("nas", "config.yaml").write_text(f"allow_plugins: ['{place}.*']\n")
    assert load_architecture("arch.yaml").stages[0][0].kind == f"{place}.fused"
    assert load_space("mine.yaml").decode_row(np.zeros(len(space.columns), np.uint8)) == arch


def test_a_space_of_it_counts_its_networks_and_finds_them_again(place: str) -> None:
    with plugins.allowing(True):
        space = load_space("mine.yaml")
    rows = space.sample_matrix(np.random.default_rng(0), 60)
    archs = space.decode_rows(rows)
    found = Lookup(space, lambda unit: (cost_of(unit).macs, cost_of(unit).params))(rows)
    assert found.tolist() == [[cost(a).macs, cost(a).params] for a in archs]
    assert [space.pack(space.encode(arch)).tolist() for arch in archs] == rows.tolist()


def test_its_choices_without_influence_are_inactive(place: str) -> None:
    with plugins.allowing(True):
        space = load_space("mine.yaml")
    values = {c.name: i for i, c in enumerate(space.columns)}
    rows = np.zeros((3, len(space.columns)), np.uint8)
    rows[:, values["stage1_kind"]] = [0, 1, 2]
    active = space.active(rows)
    assert active[:, values["stage1_se"]].tolist() == [False, True, True]
    assert active[:, values["stage1_expansion"]].tolist() == [True, True, False]
    assert space.size == 2 * 2 * 2 * (2 + 2 * 2 + 2)


def test_kinds_of_detectors_are_refused_in_spaces() -> None:
    content = {
        "schema": 1, "name": "x", "resolution": [32, 64],
        "stem": [{"kind": "conv", "width": 8}],
        "stages": [{"kind": "maxpool", "width": 8}],
        "head": [{"kind": "pool"}],
    }  # fmt: skip
    with pytest.raises(BadFile, match="kind must be one of conv, linear, mbconv, pool, separable"):
        space_from_mapping(content)
