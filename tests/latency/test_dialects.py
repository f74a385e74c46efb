"""Tables of other projects: the meaning of their keys, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from foreign_tables import BLOCK, OFA, OFA_BLOCK, PROXYLESS, drawn, written

from nas.core.errors import BadFile, UnknownName
from nas.core.plugins import available
from nas.latency.dialect import DialectEntry, load_dialect, unit_from_key
from nas.latency.importing import read_dialect
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.space.file import load_space
from nas.space.space import Space

# What keys mean


def test_proxylessnas_ratios_become_hidden_channels_under_relu6() -> None:
    entries = read_dialect("proxylessnas", [PROXYLESS]).entries
    assert {key: entry.ms for key, entry in entries.items()} == {
        "conv 224x224x3 -> 112x112x32 kernel 3 stride 2 relu6": 4.25,
        "mbconv 112x112x32 -> 112x112x16 hidden 32 kernel 3 stride 1 relu6": 3.75,
        "mbconv 112x112x16 -> 56x56x32 hidden 48 kernel 5 stride 2 relu6": 7.5,
        "mbconv 56x56x32 -> 56x56x32 hidden 96 kernel 3 stride 1 relu6 skip-identity": 6.0,
        "conv 7x7x320 -> 7x7x1280 kernel 1 stride 1 relu6": 3.0,
        "pool 7x7x1280 -> 1x1x1280": 0.0,
        "linear 1x1x1280 -> 1x1x1000 none": 0.5,
    }


def test_the_units_are_those_of_proxylessnas_mobile() -> None:
    own = {unit.key for unit in lower(load_architecture("proxylessnas_mobile"))}
    assert set(read_dialect("proxylessnas", [PROXYLESS]).entries) <= own


def test_var_is_a_variance_and_std_a_deviation(tmp_path: Path) -> None:
    rows = {
        BLOCK: {"mean": 2.0, "var": 0.25, "count": 7},
        BLOCK.replace("kernel:3", "kernel:5"): {"mean": 2.0, "std": 0.25},
        BLOCK.replace("kernel:3", "kernel:7"): {"mean": 2.0},
    }
    entries = read_dialect("proxylessnas", [written(tmp_path / "a.yaml", rows)]).entries
    assert list(entries.values()) == [
        DialectEntry(ms=2.0, deviation_ms=0.5, count=7),
        DialectEntry(ms=2.0, deviation_ms=0.25),
        DialectEntry(ms=2.0),
    ]


def test_logits_are_counted_at_the_classifier_and_that_is_reported() -> None:
    notes = read_dialect("proxylessnas", [PROXYLESS]).notes
    assert notes == (
        "pool 7x7x1280 -> 1x1x1280 has 0 ms: it was timed together with "
        "linear 1x1x1280 -> 1x1x1000 none, where all of it is counted",
    )


def test_proxylessnas_keys_can_stand_for_another_activation() -> None:
    entries = read_dialect("proxylessnas:act=relu", [PROXYLESS]).entries
    assert "conv 7x7x320 -> 7x7x1280 kernel 1 stride 1 relu" in entries


def test_ofa_keys_name_hidden_channels_se_and_h_swish() -> None:
    found = read_dialect("ofa", [OFA])
    assert not found.unmapped
    assert set(found.entries) == {
        "conv 208x208x3 -> 104x104x16 kernel 3 stride 2 hswish",
        "conv 224x224x3 -> 112x112x16 kernel 3 stride 2 hswish",
        "mbconv 104x104x16 -> 104x104x16 hidden 16 kernel 3 stride 1 relu skip-identity",
        "mbconv 56x56x24 -> 28x28x40 hidden 72 kernel 5 stride 2 se 24 relu hsigmoid relu",
        "mbconv 26x26x40 -> 26x26x40 hidden 120 kernel 5 stride 1 se 32 relu hsigmoid relu "
        "skip-identity",
        "mbconv 14x14x80 -> 14x14x80 hidden 240 kernel 3 stride 1 hswish skip-identity",
        "mbconv 13x13x112 -> 7x7x160 hidden 672 kernel 7 stride 2 se 168 relu hsigmoid hswish",
        "conv 7x7x160 -> 7x7x960 kernel 1 stride 1 hswish",
        "pool 7x7x960 -> 1x1x960",
        "linear 1x1x960 -> 1x1x1280 hswish",
        "linear 1x1x1280 -> 1x1x1000 none",
    }


def test_the_units_are_those_of_the_space() -> None:
    space = load_space("mobilenetv3")
    own = {u.key for i in range(200) for u in lower(_random(space, seed=i))}
    read = read_dialect("ofa", [OFA]).entries
    assert set(read) <= own


def _random(space: Space, seed: int) -> Architecture:
    return space.decode(drawn(space, np.random.default_rng(seed)))


# Several files


def test_what_two_resolutions_share_is_pooled_by_counts_and_said() -> None:
    found = read_dialect("ofa", [OFA / "208_lookup_table.yaml", OFA / "224_lookup_table.yaml"])
    entry = found.entries["linear 1x1x1280 -> 1x1x1000 none"]
    assert entry.ms == pytest.approx((100 * 0.5 + 300 * 0.54) / 400)
    assert entry.deviation_ms == pytest.approx(np.hypot(0.03, 0.04 * np.sqrt(3) / 4))
    assert entry.count == 400
    assert found.notes == (
        "measured several times, and pooled: 1 of the units; furthest apart is "
        "linear 1x1x1280 -> 1x1x1000 none, with 0.5 and 0.54 ms",
    )


def test_pooling_without_counts_weighs_files_equally(tmp_path: Path) -> None:
    one = written(tmp_path / "one.yaml", {OFA_BLOCK: {"mean": 1.0, "count": 5, "std": 0.1}})
    other = written(tmp_path / "other.yaml", {OFA_BLOCK: {"mean": 1.2}})
    (entry,) = read_dialect("ofa", [one, other]).entries.values()
    assert entry == DialectEntry(ms=pytest.approx(1.1))


def test_tables_of_two_devices_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one.yaml", {OFA_BLOCK: {"mean": 1.0}})
    other = written(tmp_path / "other.yaml", {OFA_BLOCK: {"mean": 1.6}})
    with pytest.raises(BadFile, match=r"other.yaml, line 1: mbconv .* 1.6 ms, but 1 ms in .*one"):
        read_dialect("ofa", [one, other])


def test_json_tables_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "160_lookup_table.json"
    path.write_text(json.dumps({OFA_BLOCK: {"count": 3, "mean": 1.5, "std": 0.5}}))
    (entry,) = read_dialect("ofa", [tmp_path]).entries.values()
    assert entry == DialectEntry(ms=1.5, deviation_ms=0.5, count=3)


def test_a_folder_without_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no RESOLUTION_lookup_table"):
        read_dialect("ofa", [tmp_path])


# Bad input


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{count: 5, var: 0.1}", "line 3: .*: missing mean"),
        ("{mean: -0.5}", "line 3: .*mean must be a number from 0 to .*, not -0.5"),
        ("{mean: .nan}", "must be a number from 0 to .*, not nan"),
        ("{mean: .inf}", "must be a number from 0 to .*, not inf"),
        ("{mean: true}", "must be a number from 0 to .*, not True"),
        ("{mean: fast}", "must be a number from 0 to .*, not 'fast'"),
        ("{mean: 1.0, std: -1}", "std must be a number from 0 to .*, not -1"),
        ("{mean: 1.0, count: 0}", "count must be a whole number >= 1, not 0"),
        ("{mean: 1.0, count: 2.5}", "count must be a whole number >= 1, not 2.5"),
        ("{mean: 1.0, vra: 1}", "unknown key 'vra'; did you mean var"),
        ("4.5", "must be a mapping, not 4.5"),
        ("{mean: 1.0, mean: 2.0}", "line 3: key 'mean' is given twice"),
    ],
)
def test_a_bad_latency_is_named_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    other = BLOCK.replace("kernel:3", "kernel:5")
    path = written(tmp_path / "a.yaml", f"{other}:\n  mean: 1.0\n{BLOCK}: {row}\n")
    with pytest.raises(BadFile, match=rf"a.yaml.*{problem}"):
        read_dialect("proxylessnas", [path])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("Zero-input:7x7x8-output:7x7x8", "unknown kind of layer 'Zero'"),
        ("Conv-input:224x224-output:112x112x32", "input has 2 numbers, not 3"),
        ("Conv-input:224x224x3-output:224x224x32", "output would be 112x112x32"),
        ("Conv-input:0x0x3-output:0x0x32", "at least 1 in every dimension"),
        ("Logits-input:7x7x1280-output:1x1x1000", "output has 3 numbers, not 1"),
        (BLOCK.replace("expand:3", "expand:2.5"), "cannot read 'expand:2.5'"),
        (BLOCK.replace("expand:3", "expand:0"), "needs hidden_channels"),
        (BLOCK.replace("kernel:3", "kernel:4"), "kernel must be odd"),
        (BLOCK.replace("stride:1", "stride:2"), "output would be 28x28x24"),
        (BLOCK.replace("56x56x24-expand", "56x56x32-expand"), "idskip is 1, but"),
        (BLOCK.replace("idskip:1", "idskip:2"), "idskip must be 0 or 1, not 2"),
        (BLOCK + "-idskip:1", "each once"),
        (BLOCK + "-se:0-hs:0", "expected input, output, expand, kernel, stride, idskip"),
        ("device", "unknown kind of layer 'device'"),
    ],
)
def test_a_key_without_a_unit_is_reported(tmp_path: Path, key: str, reason: str) -> None:
    rows = {BLOCK: {"mean": 1.0}, key: {"mean": 1.0}}
    text = yaml.safe_dump(rows, sort_keys=False)
    found = read_dialect("proxylessnas", [written(tmp_path / "a.yaml", text)])
    assert len(found.entries) == 1
    (report,) = found.unmapped
    assert report.startswith(f"{tmp_path / 'a.yaml'}, line 3: {key}: ")
    assert reason in report


def test_a_shortcut_that_was_left_out_is_a_unit_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", {BLOCK.replace("idskip:1", "idskip:0"): {"mean": 1.0}})
    (key,) = read_dialect("proxylessnas", [path]).entries
    assert key == "mbconv 56x56x24 -> 56x56x24 hidden 72 kernel 3 stride 1 relu6"


def test_a_file_of_another_dialect_is_an_error_that_names_the_others() -> None:
    with pytest.raises(
        BadFile, match=r"line \d+: .*; of dialect ofa are only 2 of 6 keys .*proxyl"
    ):
        read_dialect("ofa", [PROXYLESS])


def test_an_empty_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="it is empty"):
        read_dialect("ofa", [written(tmp_path / "a.yaml", "{}")])


def test_a_table_of_our_own_needs_no_import(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="needs no import"):
        read_dialect("ofa", [written(tmp_path / "a.yaml", "schema: 1\nname: mine\n")])


def test_a_missing_file_and_an_unknown_dialect_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        read_dialect("ofa", [tmp_path / "a.yaml"])
    with pytest.raises(UnknownName, match="did you mean ofa"):
        read_dialect("off", [OFA])


# Keys


@pytest.mark.parametrize("name", ["mobilenet_v1", "efficientnet_b0", "mobilenet_v3_large"])
def test_a_unit_can_be_made_from_its_key(name: str) -> None:
    for unit in lower(load_architecture(name)):
        again = unit_from_key(unit.key)
        assert again.key == unit.key
        assert again.layers == unit.layers
        assert again.shortcut == unit.shortcut


def test_dialects_are_listed_and_load() -> None:
    assert list(available("dialects")) == ["ofa", "proxylessnas"]
    assert load_dialect("ofa").name == "ofa"


# Files of other programs


def test_numbers_are_read_as_numpy_and_yaml_write_them(tmp_path: Path) -> None:
    row = "{mean: 4e-1, std: '0.25', count: 10.0, min: 0.3, max: 5e-1}"
    path = written(tmp_path / "a.yaml", f"{BLOCK}: {row}\n")
    (entry,) = read_dialect("proxylessnas", [path]).entries.values()
    assert entry == DialectEntry(ms=0.4, deviation_ms=0.25, count=10)


def test_objects_of_numpy_are_refused_with_what_to_do(tmp_path: Path) -> None:
    scalar = "!!python/object/apply:numpy.core.multiarray.scalar [1, 2]"
    path = written(tmp_path / "a.yaml", f"{BLOCK}:\n  mean: {scalar}\n")
    with pytest.raises(BadFile, match=r"a.yaml, line 2: .*convert them by float\(\.\.\.\)"):
        read_dialect("proxylessnas", [path])


def test_few_rows_that_are_further_apart_than_their_spread_are_pooled_and_named(
    tmp_path: Path,
) -> None:
    others = [OFA_BLOCK.replace("kernel:3", f"kernel:{k}") for k in (5, 7)]
    first = {key: {"mean": 1.0, "std": 0.01} for key in (OFA_BLOCK, *others)}
    second = {key: {"mean": 1.1, "std": 0.01} for key in others}
    second[OFA_BLOCK] = {"mean": 1.8, "std": 0.01}
    paths = [written(tmp_path / f"{i}.yaml", rows) for i, rows in enumerate((first, second))]
    found = read_dialect("ofa", paths)
    assert sorted(entry.ms for entry in found.entries.values()) == pytest.approx([1.05, 1.05, 1.4])
    (note,) = [note for note in found.notes if "noise" in note]
    assert "takes 1.8 ms, but 1 ms in" in note
    assert note.endswith("more than their spread; pooled as noise")
