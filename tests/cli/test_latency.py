"""`nas latency`: from a plan to a validated table, on computed times."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.latency.file import load_table
from nas.latency.measure import plan
from nas.latency.measure.plan import small_zoo
from nas.latency.measure.references import REFERENCES, references_for
from nas.latency.measure.samples import CORRECTION, VALIDATION, read_samples

pytest.importorskip("scipy")

Nas = Callable[..., object]
REFUSED = "mbconv 8x8x24 -> 4x4x40"  # in a network of the zoo, and in no reference
TINY = Path(__file__).parents[1] / "data" / "tiny.yaml"
FAKE = ("--backend", "fake:noise=0.02")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table of `mbconv` and its samples."""
    from nas.latency.measure.make import make_table
    from nas.latency.measure.plan import plan_space
    from nas.latency.measure.rounds import Rounds
    from nas.latency.measure.run import Target
    from nas.space.file import load_space

    folder = tmp_path_factory.mktemp("measured")
    plan, target = plan_space(load_space("mnasnet_b0")), Target(backend=FAKE[1])
    make_table(plan, target, folder / "my.yaml", rounds=Rounds.of(6))
    return folder


@pytest.fixture
def table(measured: Path, tmp_path: Path) -> Path:
    """Return a copy of the table that a test may change."""
    return Path(shutil.copy(measured / "my.yaml", tmp_path / "my.yaml"))


def test_plan_counts_every_model(nas: Nas) -> None:
    found = json.loads(nas("latency", "plan", "--space", str(TINY), *FAKE, "--json").out)
    assert found["counts"]["reference"] == len(REFERENCES)
    assert [job["name"] for job in found["jobs"][:2]] == list(references_for(32)[:2])
    assert sum(found["counts"].values()) == len(found["jobs"])
    assert found["seconds"] > 0


def test_plan_needs_one_thing_to_measure(nas: Nas) -> None:
    reply = nas("latency", "plan")
    assert reply.code == 2
    assert "name one of --space, --arch (may be repeated) and --run" in reply.err


def test_measure_writes_a_table_and_its_samples(nas: Nas, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    words = ("latency", "measure", "--arch", "mobilenet_v3_small", *FAKE, "--out", str(out))
    reply = nas(*words, "--rounds", "4")
    assert "next: nas latency validate" in reply.err
    table = load_table(out)
    assert table.provenance is not None
    assert table.provenance.backend == FAKE[1]
    assert table.provenance.rounds == 4
    before = len(read_samples(tmp_path / "my.samples.jsonl").repetitions)
    nas(*words, "--rounds", "4")
    again = len(read_samples(tmp_path / "my.samples.jsonl").repetitions)
    assert again - before == 2 * len(REFERENCES)  # no other files remain, at either end


def test_the_time_and_the_rounds_of_a_measurement_can_be_limited(nas: Nas, tmp_path: Path) -> None:
    words = ("latency", "measure", "--arch", "mobilenet_v3_small", *FAKE)
    out = tmp_path / "my.yaml"
    reply = nas(*words, "--out", str(out), "--minutes", "1e-9")
    assert (reply.code, out.exists()) == (2, False)
    assert "only 0 units are measured; start the same command again" in reply.err
    assert nas(*words, "--out", str(out), "--rounds", "0").code == 2
    assert nas(*words, "--out", str(out), "--rounds", "2").code == 0
    assert out.exists()


def test_measure_into_samples_of_another_plan_is_refused(nas: Nas, measured: Path) -> None:
    arguments = ("latency", "measure", "--arch", "mobilenet_v2", "--out", str(measured / "my.yaml"))
    reply = nas(*arguments, *FAKE)
    assert reply.code == 2
    assert "was measured with another plan; give another --out, or delete it" in reply.err


def test_a_refused_unit_is_named_and_missing_from_the_table(nas: Nas, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    fake = ("--backend", f"fake:refuse={REFUSED}", "--rounds", "4")
    reply = nas("latency", "measure", "--space", str(TINY), *fake, "--out", str(out))
    assert f"not measured: {REFUSED}" in reply.err
    lacks = load_table(out).lacks
    assert lacks
    assert all(key.startswith(REFUSED) for key in lacks)
    reply = nas("latency", "predict", "mobilenet_v3_large@1-32", "--table", str(out))
    assert reply.code == 2
    assert f"'my' was not measured for: {REFUSED}" in reply.err
    assert f"(fake refuses {REFUSED}" in reply.err


def test_a_refused_reference_is_named_and_nothing_is_measured(nas: Nas, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    fake = ("--backend", "fake:refuse=conv 32x32x3")
    reply = nas("latency", "measure", "--space", str(TINY), *fake, "--out", str(out))
    assert reply.code == 2
    assert "a reference network cannot be measured: fake refuses conv 32x32x3" in reply.err


def test_validate_stores_its_figures_in_the_table(nas: Nas, table: Path) -> None:
    arguments = ("--table", str(table), "--networks", "10", "--no-plot")
    found = json.loads(nas("latency", "validate", *arguments, "--json").out)
    figures = ("bias", "mape", "within_5", "within_10", "kendall_tau", "noise_floor")
    assert abs(found["bias"]) <= found["mape"] < 0.05 < found["kendall_tau"] <= 1
    assert 0 < found["noise_floor"] < 0.03
    assert found["networks"] == 10 + len(small_zoo())
    proof = load_table(table).validation
    assert proof is not None
    assert [getattr(proof, name) for name in figures] == [found[name] for name in figures]
    assert "validated on" in nas("latency", "predict", "mobilenet_v2", "--table", str(table)).err
    assert not list(table.parent.glob("*.validation.jsonl"))


def test_validate_says_where_it_was_measured_on_another_device(nas: Nas, table: Path) -> None:
    here = load_table(table).provenance
    assert here
    table.write_text(table.read_text().replace(f"  cpu: {here.cpu}", "  cpu: Another CPU"))
    before = load_table(table)
    arguments = ("--table", str(table), "--networks", "2")
    reply = nas("latency", "validate", *arguments)
    assert "measured on another device" in reply.err
    assert "own validation and intervals are as before" in reply.err
    assert table.with_name("my_elsewhere.png").is_file()
    found = load_table(table)
    assert (found.validation, found.spread) == (before.validation, before.spread)
    reply = nas("latency", "validate", *arguments, "--no-plot", "--json")
    assert json.loads(reply.out)["elsewhere"].startswith(f"{here.cpu}, ")
    reply = nas("latency", "predict", "mobilenet_v2", "--table", str(table))
    assert f"on {here.cpu}, " in reply.err


def test_validate_reports_a_space_that_is_not_bundled(nas: Nas, table: Path) -> None:
    text = table.read_text().replace("space: mnasnet_b0", "space: mine")
    table.write_text(text)
    reply = nas("latency", "validate", "--table", str(table))
    assert reply.code == 2
    assert "'mine', which is no bundled space" in reply.err


def test_a_table_that_was_not_measured_cannot_be_validated(nas: Nas, tmp_path: Path) -> None:
    from nas.core.data import bundled

    copy = shutil.copy(bundled("latency_tables")["pixel1"], tmp_path / "pixel1.yaml")
    reply = nas("latency", "validate", "--table", str(copy), "--space", str(TINY))
    assert reply.code == 2
    assert "was not measured by nas latency measure" in reply.err


def test_missing_units_are_modelled_measured_or_refused(nas: Nas, table: Path) -> None:
    arguments = ("latency", "predict", "mobilenet_v2@0.5-160", "--table", str(table))
    found = json.loads(nas(*arguments, "--json").out)
    modelled = found["networks"][0]
    assert modelled["extrapolated"]
    reply = nas(*arguments, "--on-missing", "fail")
    assert reply.code == 2
    assert f"'my' was not measured for: {modelled['extrapolated'][0]}; " in reply.err
    found = json.loads(nas(*arguments, "--on-missing", "measure", "--json").out)
    assert not found["networks"][0]["extrapolated"]
    assert set(modelled["extrapolated"]) <= set(load_table(table).entries)
    assert found["networks"][0]["latency_ms"] == pytest.approx(modelled["latency_ms"], rel=0.15)


def test_only_missing_adds_to_a_table(nas: Nas, table: Path) -> None:
    before = load_table(table)
    arguments = ("--arch", "mobilenet_v2@0.5-160", "--out", str(table), "--only-missing")
    nas("latency", "measure", *arguments, "--rounds", "3")
    after = load_table(table)
    assert set(before.entries) < set(after.entries)
    assert all(after.entries[key] == entry for key, entry in before.entries.items())


def test_the_bundled_table_is_not_measured_into(nas: Nas) -> None:
    arguments = ("--table", "pixel1", "--on-missing", "measure")
    reply = nas("latency", "predict", "mobilenet_v2", *arguments)
    assert reply.code == 2
    assert "pixel1 is a bundled table" in reply.err


def test_build_makes_the_same_table_of_the_same_samples(
    nas: Nas, measured: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my.yaml"
    nas("latency", "build", str(measured / "my.samples.jsonl"), "--out", str(out))
    assert load_table(out) == load_table(measured / "my.yaml")


def test_build_refuses_samples_of_another_version(nas: Nas, tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text('{"schema":7}\n')
    reply = nas("latency", "build", str(path), "--out", str(tmp_path / "t.yaml"))
    assert reply.code == 2
    assert "schema is 7; this version reads 1" in reply.err


def test_search_and_check_use_a_measured_table(nas: Nas, table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ("--space", "mnasnet_b0", "--latency-table", str(table), "--trials", "300")
    reply = nas("search", *settings, "--out", str(run), "--no-plot")
    assert f"nas latency check {run} --top 5" in reply.err
    assert "not validated" in reply.out
    found = json.loads(nas("latency", "check", str(run), "--top", "3", *FAKE, "--json").out)
    assert len({network["name"] for network in found["networks"]}) == 3
    for network in found["networks"]:
        assert network["measured_low_ms"] <= network["measured_ms"] <= network["measured_high_ms"]
        assert network["error"] == pytest.approx(
            network["latency_ms"] / network["measured_ms"] - 1, abs=1e-9
        )
        assert abs(network["error"]) < 0.1
    usual = nas("latency", "check", str(run), "--top", "1")
    assert usual.code == 0
    assert "this is onnxruntime" not in usual.err  # but the backend of the table
    reply = nas("latency", "check", str(run), "--table", "pixel1", "--top", "1", *FAKE)
    assert "the table is of another device" in reply.err


def test_a_search_checks_its_best_network_where_that_is_asked(
    nas: Nas, table: Path, tmp_path: Path
) -> None:
    settings = ("--space", "mnasnet_b0", "--latency-table", str(table), "--trials", "100")
    words = ("search", *settings, "--no-plot", "--check", "--out", str(tmp_path / "run"))
    found = json.loads(nas(*words, "--json").out)
    (checked,) = found["checked"]
    assert checked["name"] == "best"
    assert checked["latency_ms"] == found["best"]["latency_ms"]
    assert abs(checked["error"]) < 0.1
    reply = nas(*words)
    assert "the best one, measured end to end" in reply.out


def test_a_check_that_cannot_be_made_costs_nothing(nas: Nas, tmp_path: Path) -> None:
    words = ("--space", "mnasnet_b0", "--trials", "100", "--no-plot", "--out", str(tmp_path / "r"))
    reply = nas("search", *words, "--check")
    assert reply.code == 0
    assert "without the check: latency table pixel1 was not measured by nas latency" in reply.err
    assert "Pareto front" in reply.out


def test_a_table_of_a_space_is_validated_as_it_is_measured(nas: Nas, tmp_path: Path) -> None:
    words = ("latency", "measure", "--space", str(TINY), *FAKE, "--rounds", "6")
    reply = nas(*words, "--networks", "3", "--out", str(tmp_path / "t.yaml"))
    assert f"{3 + len(small_zoo(32))} networks measured end to end: bias" in reply.err
    validation = load_table(tmp_path / "t.yaml").validation
    assert validation is not None
    assert len(validation.points) == 3 + len(small_zoo(32))
    nas(*words, "--networks", "0", "--out", str(tmp_path / "u.yaml"))
    assert load_table(tmp_path / "u.yaml").validation is None


def test_search_fails_on_missing_units_where_that_is_asked(nas: Nas, table: Path) -> None:
    arguments = ("--space", "mobilenetv3", "--latency-table", str(table), "--on-missing", "fail")
    reply = nas("search", *arguments, "--trials", "10")
    assert reply.code == 2
    assert "latency table 'my' was not measured for: " in reply.err
    assert len(reply.err.splitlines()) == 1


def test_another_runtime_version_is_reported(nas: Nas, table: Path) -> None:
    pytest.importorskip("onnxruntime")
    text = table.read_text().replace("runtime: fake 1", "runtime: onnxruntime 1.0.0")
    table.write_text(text)
    reply = nas("latency", "predict", "mobilenet_v2", "--table", str(table))
    assert "measured with onnxruntime 1.0.0, and onnxruntime is" in reply.err


def test_the_dialects_come_in_and_go_out(nas: Nas, tmp_path: Path) -> None:
    data = Path(__file__).parents[1] / "data"
    out, back = tmp_path / "t.yaml", tmp_path / "back.yaml"
    arguments = ("--dialect", "proxylessnas", "--out")
    reply = nas("latency", "import", str(data / "proxylessnas_table.yaml"), *arguments, str(out))
    assert "units, no operator model" in reply.err
    entries = load_table(out).entries
    assert entries
    exported = json.loads(nas("latency", "export", str(out), *arguments, str(back), "--json").out)
    assert exported == {"schema": 1, "path": str(back), "paths": [str(back)], "left_out": []}
    found = json.loads(nas("latency", "import", str(back), *arguments, str(out), "--json").out)
    assert (found["schema"], found["path"], found["name"]) == (1, str(out), "t")
    assert found["units"] == len(entries)
    assert isinstance(found["notes"], list)
    again = load_table(out).entries
    assert {k: e.ms for k, e in again.items()} == pytest.approx(
        {k: e.ms for k, e in entries.items()}, rel=1e-5
    )


def test_bad_cores_are_refused(nas: Nas, tmp_path: Path) -> None:
    arguments = ("latency", "measure", "--space", str(TINY), "--out", str(tmp_path / "t.yaml"))
    assert "expected numbers of cores" in nas(*arguments, "--cores", "a", *FAKE).err
    if hasattr(os, "sched_getaffinity"):
        assert "core 999 is not among" in nas(*arguments, "--cores", "999", *FAKE).err


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave networks of the zoo and probes out of plans, which leaves little to measure."""
    monkeypatch.setattr(plan, "small_zoo", lambda _side: {})
    monkeypatch.setattr(plan, "RELATIVES", ())
    monkeypatch.setattr(plan, "PROBES", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_a_bundle_runs_where_only_numpy_and_the_runtime_are(nas: Nas, tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    bundle, out = tmp_path / "bundle.zip", tmp_path / "samples.jsonl"
    arguments = ("--space", str(TINY), "--networks", "4", "--out", str(bundle))
    assert "python bundle.zip" in nas("latency", "bundle", *arguments).err
    found = json.loads(nas("latency", "bundle", *arguments, "--json").out)
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        assert sum(info.file_size for info in archive.infolist()) > 5 * bundle.stat().st_size
    models = sum(name.startswith("models/") for name in names)
    assert found == {"schema": 1, "path": str(bundle), "models": models,
                     "bytes": bundle.stat().st_size, "left_out": []}  # fmt: skip
    run = _alone(tmp_path / "site", bundle, "--out", str(out), "--rounds", "4")
    assert run.returncode == 0, run.stderr
    assert "nas latency build" in run.stderr
    samples = read_samples(out)
    assert samples.header["runtime"] == f"onnxruntime {ort.__version__}"
    counts = Counter(
        repetition.job for repetition in samples.repetitions if repetition.job >= samples.references
    )
    roles = [job["role"] for job in samples.header["jobs"]]
    networks = {n for n, role in enumerate(roles) if role in (CORRECTION, VALIDATION)}
    assert counts == {
        n: 1 + 3 * 2 if n in networks else 4 for n in range(samples.references, models)
    }
    reply = nas("latency", "build", str(out), "--out", str(tmp_path / "t.yaml"))
    assert "4 networks measured end to end" in reply.out
    assert load_table(tmp_path / "t.yaml").validation is not None


def _alone(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python with numpy, onnxruntime and its dependencies, and no other package."""
    site.mkdir()
    for name in ("numpy", "numpy.libs", "onnxruntime", "flatbuffers", "google", "packaging"):
        for folder in map(Path, sys.path):
            if (folder / name).is_dir() and not (site / name).exists():
                (site / name).symlink_to(folder / name)
    code = "import importlib.util as u; assert not any(map(u.find_spec, ('torch', 'yaml', 'onnx')))"
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    python = [sys.executable, "-S"]
    subprocess.run([*python, "-c", code], env=environment, check=True)
    return subprocess.run(
        [*python, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_plan_of_detectors_has_their_units(nas: Nas) -> None:
    words = ("latency", "plan", "--space", "mnasnet_b0")
    plain = nas(*words)
    assert plain.code == 0
    heads = nas(*words, "--head", "ssdlite:resolution=224")
    assert heads.code == 0
    found = [int(re.search(r"^unit +(\d+)", reply.out, re.M)[1]) for reply in (plain, heads)]  # type: ignore[index]
    assert found[1] > found[0]
    reply = nas("latency", "plan", "--arch", "mobilenet_v2", "--head", "ssdlite")
    assert reply.code == 2
    assert "as in ssdlite:mobilenet_v2" in reply.err
