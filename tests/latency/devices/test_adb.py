"""Measuring on a phone: with a fake `adb` whose phone computes times, with drift and heat."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("flatbuffers")
pytest.importorskip("scipy")

from nas.core.errors import NasError, RunError
from nas.core.plugins import Plugin
from nas.latency.file import load_table, write_table
from nas.latency.measure.make import make_table
from nas.latency.measure.plan import Plan, network_job, plan_networks
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import DeviceAndCores, Target, measure_plan, usual_backend
from nas.latency.measure.samples import FIXED, REFERENCE, VALIDATION, read_samples
from nas.network.lowering import lower
from nas.space.space import Space
from tests.latency.devices.conftest import Handset

TWO = Rounds(least=2, most=2, reference_seconds=0.0)


def target(phone: Handset, **options: object) -> Target:
    """Return the phone as a target."""
    given = {"benchmark_model": phone.benchmark_model, "retry": 0, **options}
    made = Plugin(name="adb", options={key: str(value) for key, value in given.items()})
    return Target(backend="litert", device=str(made))


def test_every_job_is_measured_on_the_fastest_cores_with_the_flags(
    phone: Handset, small_plan: Plan, tmp_path: Path
) -> None:
    samples, found = measure_plan(
        small_plan, target(phone, xnnpack=False), tmp_path / "s.jsonl", rounds=TWO
    )
    assert sorted(found.jobs) == [1, 2, 3]
    runs = [line for line in phone.lines("asked") if "taskset" in line]
    assert all("taskset 4 /data/local/tmp/nas-" in line for line in runs)
    assert all("--num_threads=1 " in line and "--use_xnnpack=false" in line for line in runs)
    assert samples.header["runtime"].endswith(", no XNNPACK")
    machine = samples.machine
    assert (machine.cpu, machine.cores, machine.cpu_count) == ("Fake Phone 1 (F1)", (2,), 4)
    assert (machine.system, machine.governor) == ("Android 14, SDK 34", "schedutil")
    assert dict(machine.facts) == {
        "abi": "arm64-v8a",
        "soc": "F1",
        "battery": "81 %, 31 °C",
        "highest clock": "2800 MHz",
    }
    assert phone.left == []  # cleaned up


def test_a_program_of_any_name(phone: Handset, small_plan: Plan, tmp_path: Path) -> None:
    program = tmp_path / "benchmark_model (1)$x"
    shutil.copy(phone.benchmark_model, program)
    wanted = target(phone, benchmark_model=program)
    _, found = measure_plan(small_plan, wanted, tmp_path / "s.jsonl", rounds=TWO)
    assert sorted(found.jobs) == [1, 2, 3]
    assert phone.left == []


def test_cores_and_threads_that_are_asked_for(
    phone: Handset, small_plan: Plan, tmp_path: Path
) -> None:
    wanted = replace(target(phone), cores=(0, 1), threads=2)
    measure_plan(small_plan, wanted, tmp_path / "s.jsonl", rounds=TWO)
    assert any("taskset 3 " in line and "--num_threads=2 " in line for line in phone.lines("asked"))
    measure_plan(small_plan, replace(wanted, cores=None), tmp_path / "t.jsonl", rounds=TWO)
    assert any("taskset c " in line for line in phone.lines("asked"))  # 2 and 3


def test_models_are_copied_in_batches_where_space_is_short(
    phone: Handset, small_plan: Plan, tmp_path: Path
) -> None:
    phone.set("kilobytes", "60")  # for the reference and one more
    samples, _ = measure_plan(small_plan, target(phone), tmp_path / "s.jsonl", rounds=TWO)
    jobs = [one.job for one in samples.repetitions]
    assert all(jobs.count(job) == 2 for job in (1, 2, 3))
    copied = [Path(line).name for line in phone.lines("pushed")]
    assert copied.count("0.tflite") == 1  # the reference stays
    assert 4 <= sum(copied.count(f"{job}.tflite") for job in (1, 2, 3)) <= 6


def test_what_crashes_or_lacks_an_operator_is_noted_as_refused(
    phone: Handset, small_plan: Plan, tmp_path: Path
) -> None:
    phone.set("crash", "2.tflite\n")
    phone.set("says", "ERROR: Didn't find op for builtin opcode 'HARD_SWISH' version '1'.\nAborted")
    samples, found = measure_plan(small_plan, target(phone), tmp_path / "s.jsonl", rounds=TWO)
    assert sorted(found.jobs) == [1, 3]
    (text,) = samples.refused.values()
    assert text.startswith("benchmark_model failed (139): ERROR: Didn't find op for builtin")
    phone.set("crash", "0.tflite\n")
    phone.set("says", "Segmentation fault\n")
    with pytest.raises(NasError, match=r"a reference network cannot be measured: .*Segmentation"):
        measure_plan(small_plan, target(phone), tmp_path / "t.jsonl", rounds=TWO)
    assert not (tmp_path / "t.jsonl").exists()


def test_a_phone_that_is_away_is_waited_for_and_then_the_same_command_resumes(
    phone: Handset, small_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.latency.devices._phone._POLL_SECONDS", 0.01)
    out = tmp_path / "s.jsonl"
    phone.set("away", "\n\n")
    measure_plan(small_plan, target(phone, retry=5), out, rounds=Rounds(least=1, most=1))
    before = read_samples(out).repetitions
    phone.set("away", "\n" * 1000)
    with pytest.raises(RunError, match=r"phone F1: .*device offline; the samples so far are kept,"):
        measure_plan(small_plan, target(phone), out, rounds=TWO)
    phone.set("away", "")
    samples, _ = measure_plan(small_plan, target(phone), out, rounds=TWO)
    assert samples.repetitions[: len(before)] == before
    assert [one.job for one in samples.repetitions].count(1) == 2


def test_nothing_is_measured_while_the_phone_is_hot(
    phone: Handset, small_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.latency.devices.adb._SECONDS_BETWEEN_LOOKS", 0.01)
    phone.set("status", "3\n2\n0\n")
    measure_plan(small_plan, target(phone), tmp_path / "s.jsonl", rounds=TWO)
    asked = phone.lines("asked")
    first = next(i for i, line in enumerate(asked) if "taskset" in line)
    assert sum("thermalservice" in line for line in asked[:first]) == 3
    zone = phone.folder / "phone/sys/class/thermal/thermal_zone0"
    zone.mkdir()
    (zone / "type").write_text("cpu-big\n")
    (zone / "temp").write_text("91000\n")
    with pytest.raises(RunError, match=r"still hot after 0 min: cpu-big has 91 °C; let it cool"):
        measure_plan(small_plan, target(phone, cooling=0), tmp_path / "t.jsonl", rounds=TWO)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("", "adb sees no phone: connect one, and enable USB debugging"),
        ("A\tdevice\nB\tdevice\n", r"several phones; name one of adb:A \(device\), adb:B"),
        ("A\tunauthorized\n", "phone A is unauthorized: unlock it and allow USB debugging"),
        ("A\toffline\n", "phone A is offline: reconnect it, or try: adb reconnect offline"),
        ("A\tno permissions (udev rules)\n", "phone A is no permissions"),
    ],
)
def test_a_phone_that_is_not_ready(
    devices: str, message: str, phone: Handset, small_plan: Plan, tmp_path: Path
) -> None:
    phone.set("devices", devices)
    with pytest.raises(NasError, match=message):
        measure_plan(small_plan, target(phone), tmp_path / "s.jsonl", rounds=TWO)
    assert not (tmp_path / "s.jsonl").exists()


def test_one_of_two_phones_by_its_number(phone: Handset, small_plan: Plan, tmp_path: Path) -> None:
    phone.set("devices", "A\tunauthorized\n1.2.3.4:5555\tdevice\n")
    chosen = target(phone, path="1.2.3.4:5555")
    measure_plan(small_plan, chosen, tmp_path / "s.jsonl", rounds=TWO)
    with pytest.raises(NasError, match=r"adb sees no phone C, but A, 1\.2\.3\.4:5555"):
        measure_plan(small_plan, target(phone, path="C"), tmp_path / "t.jsonl", rounds=TWO)


def test_what_is_asked_for_must_fit(phone: Handset, small_plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    with pytest.raises(NasError, match="phones run litert models, not 'onnxruntime'"):
        measure_plan(small_plan, replace(target(phone), backend="onnxruntime"), out, rounds=TWO)
    with pytest.raises(NasError, match="a phone needs LiteRT's benchmark_model"):
        measure_plan(
            small_plan, DeviceAndCores(device="adb").of(Target(backend="litert")), out, rounds=TWO
        )
    with pytest.raises(NasError, match="No such file"):
        measure_plan(small_plan, target(phone, benchmark_model="/no/b"), out, rounds=TWO)
    phone.benchmark_model.write_bytes(b"\x7fELF" + bytes(14) + b"\x3e\0")
    with pytest.raises(NasError, match="is for x86_64, and the phone is arm64-v8a, armeabi-v7a"):
        measure_plan(small_plan, target(phone), out, rounds=TWO)
    phone.set("room", "10")
    phone.benchmark_model.write_bytes(b"\x7fELF" + bytes(14) + b"\xb7\0")
    with pytest.raises(RunError, match="copying benchmark_model: error: write: No space left"):
        measure_plan(small_plan, target(phone), out, rounds=TWO)
    assert usual_backend("adb") == "litert"
    assert usual_backend() == usual_backend("ssh:a@b") == "onnxruntime"


def test_a_phone_without_adb(
    small_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "b"
    binary.write_bytes(b"\x7fELF")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NasError, match="there is no program adb here"):
        measure_plan(
            small_plan,
            Target(backend="litert", device=f"adb:benchmark_model={binary}"),
            tmp_path / "s.jsonl",
            rounds=TWO,
        )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["1", "2"])
def test_a_whole_table_comes_out_and_validates(
    form: str, phone: Handset, tiny: Space, tmp_path: Path
) -> None:
    phone.set("form", form)
    drawn = tiny.sample_matrix(np.random.default_rng(1), 16)
    archs = [tiny.decode_row(row) for row in drawn]
    whole = plan_networks("tiny", archs[:10])
    own = {unit.key for arch in archs for unit in lower(arch)}
    jobs = [job for job in whole.jobs if {unit.key for unit in job.units} <= own]
    others = whole.of(REFERENCE, FIXED)
    proof = [network_job(arch, f"n{i}", VALIDATION) for i, arch in enumerate(archs[10:])]
    plan = replace(whole, jobs=(*others, *jobs, *proof))
    path = tmp_path / "phone.yaml"
    rounds = Rounds(least=3, most=3)
    table = make_table(plan, target(phone), path, rounds=rounds)
    assert table.validation is not None
    assert table.validation.mape < 0.06  # the clock moved by 28 %
    assert table.device == "Fake Phone 1 (F1)"
    assert table.core == "pinned to core 2, of 4"
    again = load_table(path)
    assert again.provenance == table.provenance
    assert again.provenance.facts["abi"] == "arm64-v8a"
    write_table(again, tmp_path / "again.yaml", heading=again.heading)
    assert (tmp_path / "again.yaml").read_bytes() == path.read_bytes()
