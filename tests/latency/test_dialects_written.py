"""Written tables of other projects: round trips, and what they cannot express."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from foreign_tables import OFA_BLOCK, PROXYLESS, at_two_resolutions, drawn, made_up

from nas.core.errors import NasError
from nas.latency.dialect import DialectEntry
from nas.latency.exporting import write_dialect
from nas.latency.importing import read_dialect
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.space.file import load_space


def test_proxylessnas_mobile_survives_a_round_trip(tmp_path: Path) -> None:
    entries = made_up(load_architecture("proxylessnas_mobile"))
    path = tmp_path / "table.yaml"
    exported = write_dialect("proxylessnas", entries, path, heading="made up")
    read = read_dialect("proxylessnas", [path]).entries
    assert exported.paths == (path,)
    assert not exported.left_out
    assert path.read_text().startswith("# made up\n")
    pool, linear = "pool 7x7x1280 -> 1x1x1280", "linear 1x1x1280 -> 1x1x1000 none"
    assert read.keys() == entries.keys()
    assert read[linear].ms == entries[linear].ms + entries[pool].ms
    assert read[pool].ms == 0
    for key in entries.keys() - {pool, linear}:
        assert read[key].ms == entries[key].ms
        assert read[key].count == entries[key].count
        assert read[key].deviation_ms == pytest.approx(entries[key].deviation_ms)


def test_what_was_imported_is_exported_as_it_was(tmp_path: Path) -> None:
    write_dialect("proxylessnas", read_dialect("proxylessnas", [PROXYLESS]).entries,
                  tmp_path / "again.yaml")  # fmt: skip
    before, after = (yaml.safe_load(p.read_text()) for p in (PROXYLESS, tmp_path / "again.yaml"))
    assert before.keys() == after.keys()
    for key, row in before.items():
        assert after[key] == pytest.approx(row)


def test_two_resolutions_of_mobilenetv3_survive_a_round_trip(tmp_path: Path) -> None:
    entries = at_two_resolutions()
    exported = write_dialect("ofa", entries, tmp_path)
    assert [p.name for p in exported.paths] == ["160_lookup_table.yaml", "224_lookup_table.yaml"]
    assert not exported.left_out
    found = read_dialect("ofa", [tmp_path])
    assert found.entries == entries
    assert not found.notes


def test_every_resolution_has_all_that_its_networks_need(tmp_path: Path) -> None:
    space = load_space("mobilenetv3")
    arch = space.decode(drawn(space, np.random.default_rng(3)) | {"resolution": 208})
    entries = at_two_resolutions() | made_up(arch)
    write_dialect("ofa", entries, tmp_path)
    read = read_dialect("ofa", [tmp_path / "208_lookup_table.yaml"]).entries
    assert {unit.key for unit in lower(arch)} <= read.keys()
    assert not any("28x28" in key for key in read)


@pytest.mark.parametrize("name", ["table.yaml", "table.json"])
def test_all_resolutions_fit_into_one_file(tmp_path: Path, name: str) -> None:
    entries = at_two_resolutions()
    write_dialect("ofa", entries, tmp_path / name)
    assert read_dialect("ofa", [tmp_path / name]).entries == entries


def test_what_a_dialect_cannot_express_is_left_out_with_the_reason(tmp_path: Path) -> None:
    kept = "mbconv 56x56x24 -> 56x56x24 hidden 72 kernel 3 stride 1 relu skip-identity"
    lost = {
        kept.replace(" relu", " swish"): f"the nearest key, {OFA_BLOCK}, means {kept}",
        kept.replace("relu", "se 6 swish sigmoid relu"): "se 24 relu hsigmoid relu",
        "separable 56x56x24 -> 56x56x24 kernel 3 stride 1 relu": "dialect ofa has no key for it",
        "conv 56x56x24 -> 56x56x24 kernel 3 stride 1 hswish": "kernel 1 stride 1 hswish",
        "nonsense": "this is not the key of a unit",
        "mbconv 56x56x24 -> 9x9x24 hidden 72 kernel 3 stride 1 relu": "the nearest is mbconv",
    }
    entries = dict.fromkeys([kept, *lost], DialectEntry(ms=1.0))
    exported = write_dialect("ofa", entries, tmp_path / "a.yaml")
    assert list(yaml.safe_load((tmp_path / "a.yaml").read_text())) == [OFA_BLOCK]
    assert len(exported.left_out) == len(lost)
    for text, (key, reason) in zip(exported.left_out, lost.items(), strict=True):
        assert text.startswith(f"{key}: ")
        assert reason in text


def test_hidden_channels_that_are_no_multiple_are_no_ratio(tmp_path: Path) -> None:
    good = "mbconv 28x28x80 -> 28x28x80 hidden 240 kernel 3 stride 1 relu6 skip-identity"
    odd, narrow = (good.replace("hidden 240", f"hidden {hidden}") for hidden in (200, 40))
    entries = dict.fromkeys([good, odd, narrow], DialectEntry(ms=1.0))
    left_out = write_dialect("proxylessnas", entries, tmp_path / "a.yaml").left_out
    assert [text.partition(": ")[0] for text in left_out] == [odd, narrow]
    assert "hidden 160" in left_out[0]
    assert "would be no key of dialect proxylessnas" in left_out[1]


def test_a_classifier_without_its_pooling_is_left_out(tmp_path: Path) -> None:
    keys = ["conv 224x224x3 -> 112x112x32 kernel 3 stride 2 relu6",
            "linear 1x1x1280 -> 1x1x1000 none"]  # fmt: skip
    exported = write_dialect(
        "proxylessnas", dict.fromkeys(keys, DialectEntry(ms=1.0)), tmp_path / "a.yaml"
    )
    assert exported.left_out == (f"{keys[1]}: dialect proxylessnas has no key for it",)


def test_shapes_of_no_resolution_are_left_out_of_folders(tmp_path: Path) -> None:
    keys = ["conv 224x224x3 -> 112x112x16 kernel 3 stride 2 hswish",
            "mbconv 30x30x24 -> 30x30x24 hidden 72 kernel 3 stride 1 relu"]  # fmt: skip
    exported = write_dialect("ofa", dict.fromkeys(keys, DialectEntry(ms=1.0)), tmp_path)
    assert exported.left_out == (f"{keys[1]}: none of the resolutions 224 leads to it",)


def test_nothing_is_written_where_nothing_can_be_reported(tmp_path: Path) -> None:
    block = {"mbconv 7x7x8 -> 7x7x8 hidden 24 kernel 3 stride 1 relu": DialectEntry(ms=1.0)}
    with pytest.raises(NasError, match="cannot tell the resolutions"):
        write_dialect("ofa", block, tmp_path / "out")
    for nothing in ({}, {"nonsense": DialectEntry(ms=1.0)}):
        with pytest.raises(NasError, match="can express nothing of this table"):
            write_dialect("ofa", nothing, tmp_path / "out.yaml")
    assert not list(tmp_path.iterdir())
