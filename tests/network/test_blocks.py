"""Architectures as data: round trips, and what is refused."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.core.data import bundled, to_json, to_yaml
from nas.core.errors import BadFile, BadValue, NasError
from nas.core.files import write_text
from nas.core.schema import FromFile
from nas.network.blocks import Architecture, Block, block_mapping, from_mapping, steps, to_mapping
from nas.network.zoo import load_architecture

BASE = bundled("architectures")["mobilenet_v3_small"].read_text(encoding="utf-8")


def small(**changes: Any) -> Architecture:
    fields: dict[str, Any] = {
        "resolution": 32,
        "stem": (Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2),),
        "stages": ((Block(kind="mbconv", in_channels=8, out_channels=8, hidden_channels=16),),),
        "head": (Block(kind="pool", in_channels=8, out_channels=8),),
    }
    return Architecture(**{**fields, **changes})


def message_of(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NasError) as caught:
        load_architecture(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("write", [to_yaml, to_json])
@pytest.mark.parametrize("name", bundled("architectures"))
def test_files_round_trip(name: str, write: Callable[[Any], str], tmp_path: Path) -> None:
    arch = load_architecture(name)
    path = tmp_path / ("arch.json" if write is to_json else "arch.yaml")
    write_text(path, write(to_mapping(arch)))
    loaded = load_architecture(path)
    assert loaded == arch
    assert (loaded.name, loaded.fingerprint) == (arch.name, arch.fingerprint)


def test_every_field_round_trips() -> None:
    block = Block(kind="mbconv", in_channels=3, out_channels=5, hidden_channels=7, kernel=5,
                  stride=2, se_channels=2, act="hswish", se_act="swish", gate="hsigmoid",
                  skip="pool")  # fmt: skip
    arch = Architecture(resolution=17, stem=(block,), stages=(), head=(), input_channels=3,
                        dropout=0.25, drop_connect=0.1, norm_epsilon=1e-5,
                        padding="same", fixed_features=True,
                        name="odd")  # fmt: skip
    again = from_mapping(json.loads(json.dumps(to_mapping(arch))))
    assert again == arch
    assert (again.name, again.fixed_features) == ("odd", True)


def test_a_mapping_is_plain_wherever_the_block_came_from() -> None:
    values = {"in_channels": 7, "out_channels": 7, "act": "swish"}
    from_file = Block(kind=FromFile("pool"), **values)
    for block in (from_file, Block(kind="pool", **values)):  # equal, so a cache may mix them up
        assert type(block_mapping(block)["kind"]) is str


def test_fingerprint_ignores_labels_and_sees_everything_else() -> None:
    arch = small()
    assert replace(arch, name="other", fixed_features=True).fingerprint == arch.fingerprint
    wider = replace(arch.stem[0], act="relu")
    changes = [{"resolution": 33}, {"dropout": 0.1}, {"drop_connect": 0.1}, {"stem": (wider,)}]
    prints = {arch.fingerprint, *(replace(arch, **c).fingerprint for c in changes)}
    assert len(prints) == 5


def test_fingerprint_does_not_depend_on_how_a_number_is_written() -> None:
    assert small(dropout=0).fingerprint == small(dropout=0.0).fingerprint


def test_fingerprint_is_stable() -> None:
    assert load_architecture("efficientnet_b0").fingerprint == "ffce243db6538dd1"


def test_steps_lead_into_the_file() -> None:
    assert steps("stages.2.10") == ("stages", 2, 10)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kernel", 4), ("kernel", "3"), ("kernel", 3.0), ("kernel", True), ("stride", 0),
        ("in_channels", -1), ("out_channels", None), ("se_channels", -1), ("act", "gelu"),
        ("gate", ["sigmoid"]), ("skip", {}), ("kind", 5), ("kind", ["conv"]),
    ],
)  # fmt: skip
def test_block_refuses(field: str, value: Any) -> None:
    with pytest.raises(NasError, match=f"block {field} must be"):
        Block(**{"kind": "conv", "in_channels": 3, "out_channels": 8, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resolution", 0), ("resolution", "224"), ("resolution", None), ("input_channels", 1.5),
        ("dropout", 1), ("dropout", -0.1), ("dropout", "0.2"), ("dropout", float("nan")),
        ("drop_connect", False), ("drop_connect", None), ("name", 5),
        ("fixed_features", 1),
    ],
)  # fmt: skip
def test_architecture_refuses(field: str, value: Any) -> None:
    with pytest.raises(NasError, match=f"^{field} must be"):
        small(**{field: value})


def test_channels_must_meet() -> None:
    odd = Block(kind="pool", in_channels=9, out_channels=9)
    with pytest.raises(NasError, match=r"in_channels of head\.0 is 9, but the block before it giv"):
        small(head=(odd,))


@pytest.mark.parametrize("stages", [(), ((),), ((), ())])
def test_a_network_needs_a_block(stages: tuple[tuple[()], ...]) -> None:
    with pytest.raises(BadValue, match="an architecture needs at least one block"):
        small(stem=(), stages=stages, head=())


STEM = "in_channels: 3, out_channels: 16, kernel: 3"

MALFORMED = {
    "an unknown key": ("dropout:", "dropuot:", "line 9: unknown key 'dropuot'; did you mean"),
    "an unknown block key": (STEM, f"{STEM}, strid: 2", "line 12: stem.0: unknown key 'strid'"),
    "a missing key": ("resolution: 224\n", "", "line 2: missing resolution"),
    "a missing block key": (STEM, "kernel: 3", "line 12: stem.0: missing in_channels, out_ch"),
    "a kernel in quotes": (STEM, 'in_channels: 3, out_channels: 16, kernel: "3"',
                           "line 12: stem.0.kernel must be a whole number"),
    "a fractional kernel": ("kernel: 5", "kernel: 3.0", "line 17: stages.2.0.kernel must be a"),
    "no resolution": ("224", "null", "line 7: resolution must be"),
    "a key twice": ("dropout:", "resolution: 5\ndropout:", "line 9: key 'resolution' is given tw"),
    "a block key twice": (STEM, f"{STEM}, kernel: 3", "line 12: key 'kernel' is given twice"),
    "another schema": ("schema: 1", "schema: 2", "schema is 2; this version reads 1"),
    "a schema of yes": ("schema: 1", "schema: true", "schema is True"),
    "no schema": ("schema: 1\n", "", "schema is None"),
    "an unknown kind": ("kind: conv", "kind: cov", "line 12: stem.0: unknown block kind 'cov'; "),
    "no hidden channels": ("hidden_channels: 72, ", "", "line 15: stages.1.0: the mbconv block ne"),
    "channels that do not meet": ("in_channels: 24, out_channels: 24",
                                  "in_channels: 25, out_channels: 24",
                                  "line 16: stages.1.1: in_channels of stages.1.1 is 25, but"),
    "no pool": ("kind: pool", "kind: linear", "head.1: a linear block must stand after a pool"),
    "a bad indent": ("stages:\n", "stages:\n  x: 1\n", "line 1"),
    "an open bracket": (STEM, "in_channels: [3", "line 1"),
    "a tab": ("dropout: 0.2", "\tdropout: 0.2", "line 9"),
    "an impossible date": ("0.2", "2001-99-99", "line 9: cannot read this value"),
    "a tag of Python": ("0.2", "!!python/object:os.system x", "line 9: could not determine"),
    "a tag that does not fit": ("0.2", "!!bool x", "line 9: cannot read this value"),
    "a list as a key": ("dropout: 0.2", "? [1]\n: 2", "cannot read this value"),
    "an unknown alias": ("0.2", "*nothing", "line 9: found undefined alias"),
    "a loop": ("stem:\n", "stem: &loop\n- *loop\n", "line 11: found unconstructable recursive"),
    "a stem that is a number": ("stem:\n", "stem: 5\nx:\n", "unknown key 'x'"),
    "a block that is a number": ("- {kind: conv", "- 5\n- {kind: conv", "stem.0 must be a map"),
    "a control character": ("0.2", "\x00", "control characters are not allowed"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file_names_file_line_and_key(case: str, tmp_path: Path) -> None:
    old, new, expected = MALFORMED[case]
    assert old in BASE
    message = message_of(tmp_path / "bad.yaml", BASE.replace(old, new, 1))
    assert message.startswith(str(tmp_path / "bad.yaml"))
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a mapping, found NoneType"), ("[1]", "expected a mapping, found list"),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("schema: 1\nresolution: 5\nstem: 5\nstages: []\nhead: []\n", "line 3: stem must be a li"),
        ("schema: 1\nresolution: 5\nstem: []\nstages: [7]\nhead: []\n", "stages.0 must be a list"),
        ("schema: 1\nresolution: 5\nstem: []\nstages: []\nhead: []\n", "an architecture needs"),
        ("schema: 1\nstem: " + "[" * 3000 + "]" * 3000, "nested deeper than 64"),
    ],
)  # fmt: skip
def test_files_of_another_shape_are_refused(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in message_of(tmp_path / "bad.yaml", text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"schema": 1', '"schema": 1, "schema": 1', "key 'schema' is given twice"),
        ('"stem"', "stem", "line 1: Expecting property name"),
        ("0.2", "NaN", "NaN is not JSON"),
        ("224", "1" * 5000, "has a number of 5000 digits"),
        ('"kernel"', '"kernal"', "stem.0: unknown key 'kernal'; did you mean kernel"),
    ],
)
def test_malformed_json_is_refused(old: str, new: str, expected: str, tmp_path: Path) -> None:
    text = json.dumps(to_mapping(load_architecture("mobilenet_v3_small")))
    assert expected in message_of(tmp_path / "bad.json", text.replace(old, new, 1))


JUNK = (None, True, -1, 0, 2.5, 10**30, "", "x", "3", [], [1], {}, {"x": 1}, float("nan"), [[]])


def spots(node: Any) -> list[tuple[Any, Any]]:
    """List every place in nested data as (container, key)."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found: list[tuple[Any, Any]] = []
    for key, value in list(items):
        found.append((node, key))
        if isinstance(value, dict | list):
            found += spots(value)
    return found


def test_no_mutation_of_the_data_ends_in_a_traceback() -> None:
    rng = random.Random(0)
    original = json.dumps(to_mapping(load_architecture("mobilenet_v3_small")))
    messages = []
    for _ in range(1500):
        content = json.loads(original)
        for _ in range(rng.randint(1, 2)):
            container, key = rng.choice(spots(content))
            match rng.randrange(3):
                case 0:
                    container[key] = rng.choice(JUNK)
                case 1:
                    del container[key]
                case _ if isinstance(container, dict):
                    container[rng.choice((5, "", None, "kernal"))] = container.pop(key)
        try:
            from_mapping(content)
        except BadFile as error:
            messages.append(str(error))
    assert len(messages) > 1000
    assert not any("\n" in message for message in messages)


def test_no_mutation_of_the_text_ends_in_a_traceback(tmp_path: Path) -> None:
    rng = random.Random(1)
    path = tmp_path / "bad.yaml"
    messages = []
    for _ in range(300):
        text = BASE
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice("{}[]:,-&*!|>'\"%@`#?\n \t0x\x01é") + text[at + 1 :]
        path.write_text(text, encoding="utf-8")
        try:
            load_architecture(path)
        except NasError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert not any("\n" in message for message in messages)
