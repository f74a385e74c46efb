"""What `era` meant in version 0.1 is still understood: in settings, tables and run folders."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.core.data import read_mapping
from nas.core.deprecation import DeprecatedName
from nas.core.errors import BadFile, UnknownName
from nas.latency.eras import earlier_texts, settings_without_era, table_of_era
from nas.latency.file import file_fingerprint, load_table, write_table
from nas.latency.measure.foreign import import_table
from nas.network.lowering import lower
from nas.network.zoo import load_architecture

pytestmark = pytest.mark.filterwarnings("ignore::nas.core.deprecation.DeprecatedName")
Nas = Callable[..., Any]
DATA = Path(__file__).resolve().parents[1] / "data"
EARLIER = DATA / "earlier"
OWN = EARLIER / "two_eras.yaml"
"""A table as a user of version 0.1 could have it: `pixel1` with another default era."""
MEASURED = "epyc_genoa_onnxruntime_1t_int8_mnasnet_b0"
FORMER = "epyc_genoa_onnxruntime_1t_int8_mbconv"
"""What `MEASURED` was called in version 0.1."""
WARNING = (
    "era 2018 of pixel1 is deprecated and is removed in version 0.3.0; use latency table "
    "pixel1_2018"
)
V2 = [unit.key for unit in lower(load_architecture("mobilenet_v2"))]


@pytest.mark.parametrize(
    ("name", "era", "found"),
    [
        ("pixel1", 2018, "pixel1_2018"),
        ("pixel1", "2018", "pixel1_2018"),
        ("pixel1", "2019", "pixel1"),
        ("pixel2", "2019", "pixel2"),
        ("pixel1", "", "pixel1"),
        ("pixel1", None, "pixel1"),
        (MEASURED, "measured", MEASURED),
        (OWN, "2018", str(OWN)),
        (OWN, "2019", f"{OWN}:2019"),
        (EARLIER / "table.yaml", "measured", str(EARLIER / "table.yaml")),
        ("nowhere.yaml", "2018", "nowhere.yaml"),
        ("pixel9", "2018", "pixel9"),
    ],
)
def test_an_era_means_a_table(
    name: str, era: str | None, found: str, recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter("always", DeprecatedName)
    assert table_of_era(name, era) == found
    said = f"era {era} of {name} is deprecated and is removed in version 0.3.0; use latency table "
    wanted = [] if found == str(name) else [f"{said}{found}"]
    assert [str(one.message) for one in recwarn] == wanted


@pytest.mark.parametrize("era", ["measured", "", None])
def test_a_renamed_table_is_found_by_its_former_name(era: str | None) -> None:
    with pytest.warns(DeprecatedName, match=rf"^latency table {FORMER} is .* {MEASURED}$"):
        assert load_table(FORMER, era=era).name == MEASURED
    old = {"latency_table": FORMER, "seed": 1}
    assert settings_without_era(old) == {"latency_table": MEASURED, "seed": 1}


def test_an_unknown_era_names_the_closest() -> None:
    with pytest.raises(UnknownName, match="did you mean 2019, 2018"):
        load_table("pixel1", era="2017")
    with pytest.raises(UnknownName, match="2019"):
        load_table("pixel2", era="2018")
    with pytest.raises(UnknownName, match=r"of latency table '.*two_eras.yaml' '2017'"):
        load_table(OWN, era="2017")
    with pytest.raises(UnknownName, match="of latency table 'my_pixel' '2017'"):
        load_table(f"{OWN}:2017")


def test_a_file_of_two_eras_is_read_in_the_one_that_was_in_force(tmp_path: Path) -> None:
    arch = load_architecture("mobilenet_v3_large")
    for era, name in ((None, "pixel1_2018"), ("2018", "pixel1_2018"), ("2019", "pixel1")):
        found, now = load_table(OWN, era=era), load_table(name)
        assert (found.name, found.runtime) == ("my_pixel", now.runtime)
        assert found.predict(arch) == now.predict(arch)
        write_table(found, tmp_path / "today.yaml")
        assert load_table(tmp_path / "today.yaml") == found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("factor: 1.0", "factor: fast", "line .*eras.2018.factor must be a number"),
        ("eras:\n", "eras: 3\nold:\n", "line 10: eras must be a mapping, not 3"),
        ("default_era: '2018'\n", "", "missing default_era"),
        ("conv_macs: 0.1", "conv_macs: -0.1", "line .*coefficients.conv_macs must be a number"),
        ("conv_macs: ", "convmacs: ", "line .*unknown key 'convmacs'; did you mean conv_macs"),
        ("      swish: 4.7985\n", "", "lacks coefficients for swish"),
        ("  factor: 1.0", "  speed: 1.0", "eras.2018: unknown key 'speed'"),
    ],
)
def test_what_is_wrong_with_such_a_file_is_named(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = OWN.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadFile, match=message) as error:
        load_table(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "text", "digits"),
    [
        ("pixel1", "table:pixel1 2019 sha256:0af92e358ca7bc66", "45698ab1b04ce78c"),
        ("pixel1_2018", "table:pixel1 2018 sha256:c296ded2eb165a84", "27c6e2e9ac2dc21d"),
        ("pixel2", "table:pixel2 2019 sha256:471d6ed39d0644e3", "f7a8714d02ddbd7f"),
        ("pixel3", "table:pixel3 2019 sha256:3e3bb83b90ef1b07", "6f194235b3b0c19d"),
        (OWN, "table:my_pixel 2018 sha256:c296ded2eb165a84", None),
        (f"{OWN}:2019", "table:my_pixel 2019 sha256:0af92e358ca7bc66", None),
        (MEASURED, f"table:{FORMER} measured sha256:9e8d1a9ebe3d475c", "989da09dfaabf55d"),
        (
            EARLIER / "table.yaml",
            "table:table measured sha256:c9a4a1d982a6c7e3",
            "68d19be7fac4c315",
        ),
    ],
)
def test_tables_are_known_by_what_run_folders_call_them(
    name: str, text: str, digits: str | None
) -> None:
    table = load_table(name)
    assert text in earlier_texts(table, V2)
    assert digits in (None, file_fingerprint(table))


def test_an_imported_table_is_known_too() -> None:
    table, _ = import_table(
        "proxylessnas", [DATA / "proxylessnas_table.yaml"], device="d", threads=1, name="imp"
    )
    text = "table:imp imported sha256:7088ec9e95938ae0"
    assert text in earlier_texts(table, list(table.entries))
    assert file_fingerprint(table) == "608db0f201f142fc"


def test_a_pruning_that_version_0_1_began_names_the_same_table() -> None:
    found = read_mapping(EARLIER / "netadapt" / "run.yaml")["table"]
    assert found == {"name": "pixel1", "fingerprint": file_fingerprint(load_table("pixel1"))}


def test_settings_that_a_run_folder_holds_lose_their_era() -> None:
    assert settings_without_era({"seed": 1}) == {"seed": 1}
    old = {"latency_table": "pixel1", "era": "2018", "seed": 1}
    assert settings_without_era(old) == {"latency_table": "pixel1_2018", "seed": 1}


@pytest.mark.parametrize(
    "words",
    [
        ("show", "mobilenet_v2", "--latency-table", "pixel1"),
        ("show", "mobilenet_v2"),
        ("latency", "predict", "mobilenet_v2", "--table", "pixel1"),
        ("scale", "mobilenet_v2", "--width", "0.5", "--latency-table", "pixel1"),
    ],
)
def test_the_option_is_hidden_and_names_the_other_table(words: tuple[str, ...], nas: Nas) -> None:
    now = [word.replace("pixel1", "pixel1_2018") for word in words]
    now += [] if now != list(words) else ["--latency-table", "pixel1_2018"]
    old = nas(*words, "--era", "2018", "--json")
    assert old.code == 0
    assert WARNING in old.err.splitlines()
    assert old.out == nas(*now, "--json").out
    assert nas(*words, "--era", "2019", "--json").out == nas(*words, "--json").out
    assert "--era" not in nas(*words[: 1 + (words[0] == "latency")], "--help").out


def test_a_table_in_the_present_form_has_no_eras(tmp_path: Path) -> None:
    write_table(load_table(OWN), tmp_path / "t.yaml")
    assert "eras" not in yaml.safe_load((tmp_path / "t.yaml").read_text(encoding="utf-8"))
