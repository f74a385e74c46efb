"""`nas latency`: from a plan to a proved table, on computed times."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.latency_file import load_table
from nas.measuring.samples import read_samples

pytest.importorskip("scipy")

Nas = Callable[..., object]
TINY = Path(__file__).parents[1] / "data" / "tiny.yaml"
FAKE = ("--backend", "fake:noise=0.02")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table of the tiny space and its samples."""
    from nas.measuring.make import make_table
    from nas.measuring.plan import plan_space
    from nas.measuring.rounds import Rounds
    from nas.measuring.run import Target
    from nas.space_file import load_space

    kept = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    folder = tmp_path_factory.mktemp("measured")
    target = Target(backend="fake:noise=0.02")
    make_table(plan_space(load_space(TINY)), target, folder / "my.yaml", rounds=Rounds())
    if kept:
        os.sched_setaffinity(0, kept)
    return folder


@pytest.fixture
def table(measured: Path, tmp_path: Path) -> Path:
    """Return a copy of the table that a test may change."""
    return Path(shutil.copy(measured / "my.yaml", tmp_path / "my.yaml"))


@pytest.fixture(autouse=True)
def _unpinned() -> object:
    kept = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    if kept:
        os.sched_setaffinity(0, kept)


def test_plan_counts_every_model(nas: Nas) -> None:
    found = json.loads(nas("latency", "plan", "--space", str(TINY), *FAKE, "--json").out)
    assert found["counts"]["reference"] == 1
    assert sum(found["counts"].values()) == len(found["jobs"])
    assert found["seconds"] > 0


def test_plan_needs_one_thing_to_measure(nas: Nas) -> None:
    reply = nas("latency", "plan")
    assert reply.code == 2
    assert "name one of --space, --arch (may be repeated) and --run" in reply.err


def test_measure_writes_a_table_and_its_samples(nas: Nas, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    reply = nas("latency", "measure", "--arch", "mobilenet_v3_small", *FAKE, "--out", str(out))
    assert "next: nas latency validate" in reply.err
    table = load_table(out)
    assert table.provenance is not None
    assert table.provenance.backend == FAKE[1]
    before = len(read_samples(tmp_path / "my.samples.jsonl").visits)
    nas("latency", "measure", "--arch", "mobilenet_v3_small", *FAKE, "--out", str(out))
    again = len(read_samples(tmp_path / "my.samples.jsonl").visits)
    assert again - before <= 4  # nothing was left but the reference's own visits


def test_measure_into_samples_of_another_plan_is_refused(nas: Nas, measured: Path) -> None:
    arguments = ("latency", "measure", "--arch", "mobilenet_v2", "--out", str(measured / "my.yaml"))
    reply = nas(*arguments, *FAKE)
    assert reply.code == 2
    assert "was measured with another plan; give another --out, or delete it" in reply.err


def test_a_refused_unit_is_named_and_missing_from_the_table(nas: Nas, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    fake = ("--backend", "fake:refuse=kernel 5 stride 2")
    reply = nas("latency", "measure", "--space", str(TINY), *fake, "--out", str(out))
    assert "not measured: " in reply.err
    assert "kernel 5 stride 2" in reply.err
    assert load_table(out).lacks
    reply = nas("latency", "predict", "mobilenet_v3_large", "--table", str(out))
    assert reply.code == 2
    assert "fake refuses" in reply.err


def test_validate_stores_its_figures_in_the_table(nas: Nas, table: Path) -> None:
    arguments = ("--table", str(table), "--space", str(TINY), "--networks", "10", "--no-plot")
    found = json.loads(nas("latency", "validate", *arguments, "--json").out)
    figures = ("bias", "mape", "within_5", "within_10", "kendall_tau", "noise_floor")
    assert all(-1 <= found[name] <= 1 for name in figures)
    assert found["networks"] >= 10
    proof = load_table(table).validation
    assert proof is not None
    assert [getattr(proof, name) for name in figures] == [found[name] for name in figures]
    assert "checked on" in nas("latency", "predict", "mobilenet_v2", "--table", str(table)).err
    assert not list(table.parent.glob("*.validation.jsonl"))


def test_validate_says_when_the_space_is_not_bundled(nas: Nas, table: Path) -> None:
    reply = nas("latency", "validate", "--table", str(table))
    assert reply.code == 2
    assert "'tiny', which is no bundled space" in reply.err


def test_a_table_that_was_not_measured_cannot_be_validated(nas: Nas, tmp_path: Path) -> None:
    from nas.data import bundled

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
    assert modelled["extrapolated"][0] in reply.err
    found = json.loads(nas(*arguments, "--on-missing", "measure", "--json").out)
    assert not found["networks"][0]["extrapolated"]
    assert set(modelled["extrapolated"]) <= set(load_table(table).entries)
    assert found["networks"][0]["latency_ms"] == pytest.approx(modelled["latency_ms"], rel=0.3)


def test_only_missing_adds_to_a_table(nas: Nas, table: Path) -> None:
    before = load_table(table)
    arguments = ("--arch", "mobilenet_v2@0.5-160", "--out", str(table), "--only-missing")
    nas("latency", "measure", *arguments)
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
    settings = ("--space", str(TINY), "--latency-table", str(table), "--trials", "50")
    reply = nas("search", *settings, "--evaluator", "judges.plain", "--out", str(run), "--no-plot")
    assert f"nas latency check {run} --top 5" in reply.err
    assert "never checked" in reply.out
    found = json.loads(nas("latency", "check", str(run), "--top", "3", *FAKE, "--json").out)
    assert 1 <= len(found["networks"]) <= 3
    for network in found["networks"]:
        assert network["measured_low_ms"] <= network["measured_ms"] <= network["measured_high_ms"]
        assert abs(network["error"]) < 0.3
    reply = nas("latency", "check", str(run), "--table", "pixel1", "--top", "1", *FAKE)
    assert "the table is of another device" in reply.err


def test_search_fails_on_missing_units_where_that_is_asked(nas: Nas, table: Path) -> None:
    arguments = ("--space", "mbconv", "--latency-table", str(table), "--on-missing", "fail")
    reply = nas("search", *arguments, "--trials", "10")
    assert reply.code == 2
    assert "has no entry and no operator model for" in reply.err


def test_another_runtime_version_is_said(nas: Nas, table: Path) -> None:
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
    nas("latency", "export", str(out), *arguments, str(back))
    nas("latency", "import", str(back), *arguments, str(out))
    again = load_table(out).entries
    assert {k: e.ms for k, e in again.items()} == pytest.approx(
        {k: e.ms for k, e in entries.items()}, rel=1e-5
    )


def test_bad_cores_are_refused(nas: Nas, tmp_path: Path) -> None:
    arguments = ("latency", "measure", "--space", str(TINY), "--out", str(tmp_path / "t.yaml"))
    assert "expected numbers of cores" in nas(*arguments, "--cores", "a", *FAKE).err
    if hasattr(os, "sched_getaffinity"):
        assert "core 999 is not among" in nas(*arguments, "--cores", "999", *FAKE).err


@pytest.mark.slow
def test_a_bundle_runs_where_only_numpy_and_the_runtime_are(nas: Nas, tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    bundle, out = tmp_path / "bundle.zip", tmp_path / "samples.jsonl"
    arguments = ("--space", str(TINY), "--networks", "4", "--out", str(bundle))
    assert "python bundle.zip" in nas("latency", "bundle", *arguments).err
    with zipfile.ZipFile(bundle) as archive:
        assert sum(info.file_size for info in archive.infolist()) > 10 * bundle.stat().st_size
    run = _alone(tmp_path / "site", bundle, "--out", str(out), "--minutes", "0.4")
    assert run.returncode == 0, run.stderr
    assert "nas latency build" in run.stderr
    samples = read_samples(out)
    assert samples.header["runtime"] == f"onnxruntime {ort.__version__}"
    reply = nas("latency", "build", str(out), "--out", str(tmp_path / "t.yaml"))
    assert "networks measured whole" in reply.out
    assert load_table(tmp_path / "t.yaml").validation is not None


def _alone(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python with numpy, onnxruntime and what that needs, and no other package."""
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
