"""Reading spaces: errors name file, line and key."""

from pathlib import Path

import pytest

from nas.core.data import read_mapping
from nas.core.errors import BadFile, UnknownName
from nas.space.file import load_space, space_from_mapping

GOOD = (Path(__file__).parents[1] / "data" / "tiny.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kernel: [3, 5]}", "kernal: [3, 5]}", "line 10: unknown key 'kernal'; did you mean kern"),
        ("kernel: [3, 5]}", "kernel: [3, 4]}", "line 10: kernel must be odd, not 4"),
        ("kernel: [3, 5]}", "kernel: [3, 3]}", "line 10: kernel needs values, each once"),
        ("kernel: [3, 5]}", "kernel: []}", "line 10: kernel needs values, each once"),
        ("kernel: [3, 5]}", "kernel: [[3], 5]}", "line 10: kernel takes plain values"),
        ("kernel: [3, 5]}", "kernel: }", "line 10: kernel must be whole numbers >= 1, not None"),
        ("kernel: [3, 5]}", "kernel: 3, kernel: 5}", "line 10: key 'kernel' is given twice"),
        ("width: 16", "width: 0", "line 11: width must be whole numbers >= 1, not 0"),
        ("width: 16", "width: wide", "line 11: width must be whole numbers >= 1, not 'wide'"),
        ("stride: 2, exp", "gate: [sigmoid, hsigmoid], exp", "line 11: gate cannot be a choice"),
        ("se: [false, true]", "se: [0, 1]", "line 11: se must be true or false, not 0"),
        ("[conv, mbconv]", "[conv, mbconf]", "line 11: kind must be one of .*, not 'mbconf'"),
        ("per_layer: [kernel]", "per_layer: [width]", "line 11: per_layer must be one of kernel"),
        ("width: 24", "kernel: [1, 3], width: 24", "head.0, line 13: kernel cannot be a choice"),
        ("layers: [1, 2]", "layers: [0, 1]", "line 11: a stage of stride 2 cannot have 0 layers"),
        ("layers: [1, 2]", "layers: [-1]", "defaults, line 8: layers must be whole numbers"),
        ("resolution: 32", "resolution: 31", "line 4: resolution must be whole numbers from 32"),
        ("resolution: 32", "resolution: big", "line 4: resolution must be whole numbers from 32"),
        ("ratio: 0.5", "ratio: 2", r"line 5: ratio must be a number > 0 and <= 1, not 2"),
        ("of: input", "of: output", "line 5: of must be one of input, hidden, not 'output'"),
        ("divisor: 1", "divisor: 0", "line 5: divisor must be a whole number >= 1, not 0"),
        ("name: tiny", "name: 5", "line 3: name must be a text, not 5"),
        ("schema: 1", "schema: 2", "schema is 2; this version reads 1"),
        ("schema: 1", "schema: 1\ndropout: 1", r"line 3: dropout must be a number in \[0, 1\)"),
        ("schema: 1", "schema: 1\nfoo: 1", "line 3: unknown key 'foo'"),
        ("resolution: 32\n", "", "missing resolution"),
        ("- {kind: pool}", "- pool", "head.1: expected a mapping of fields, found 'pool'"),
        ("- {kind: pool}", "- {kind: pool", "line 15: "),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadFile, match=message) as caught:
        load_space(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["stem", "stages", "head"])
@pytest.mark.parametrize("value", [[], {}, 3, None])
def test_rows_must_be_a_list_of_rows(key: str, value: object) -> None:
    content = {**_good(), key: value}
    with pytest.raises(BadFile, match=f"space: {key} must be a list of rows, not"):
        space_from_mapping(content)


@pytest.mark.parametrize("key", ["defaults", "se"])
def test_mappings_must_be_mappings(key: str) -> None:
    with pytest.raises(BadFile, match=f"space: {key}.* mapping"):
        space_from_mapping({**_good(), key: 3})


def test_a_space_without_a_list_offers_no_choice() -> None:
    rows = [{"kind": "conv", "width": 8}]
    with pytest.raises(BadFile, match="no field has a list, so there is nothing to choose"):
        space_from_mapping({**_good(), "stages": rows, "defaults": {}})


def test_a_row_overrides_the_defaults() -> None:
    rows = [{"width": 8, "kernel": 3}, {"width": 8}, {"width": 8, "per_layer": []}]
    defaults = {"kernel": [3, 5], "layers": 2, "per_layer": ["kernel"]}
    space = space_from_mapping({**_good(), "stages": rows, "defaults": defaults})
    assert list(space.choices) == ["stage2_layer1_kernel", "stage2_layer2_kernel", "stage3_kernel"]


def test_an_unknown_name_brings_the_closest() -> None:
    with pytest.raises(UnknownName, match="unknown search space 'mbconf'; did you mean mbconv"):
        load_space("mbconf")
    with pytest.raises(BadFile, match=r"nowhere/mbconv\.yaml: no such file"):
        load_space("nowhere/mbconv.yaml")


def _good() -> dict[str, object]:
    return dict(read_mapping(Path(__file__).parents[1] / "data" / "tiny.yaml"))
