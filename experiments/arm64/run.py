"""Run a bundle on an emulated ARM64 Python, from unpacking to samples; its times mean nothing."""

import argparse
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime

from nas.latency.measure.bundle import write_bundle
from nas.latency.measure.plan import Plan, plan_check
from nas.latency.measure.references import references_for
from nas.latency.measure.run import Target
from nas.latency.measure.samples import read_samples
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture

DEBIAN = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libexpat1"),
    *("zlib1g", "libssl3", "libffi8", "libgcc-s1", "libstdc++6", "libbz2-1.0", "liblzma5"),
    *("gcc-12-base", "libcrypt1"),
)
WHEELS = ("numpy", "onnxruntime==1.22.1")
"""The newest onnxruntime found to start under qemu 7.2; 1.31 and 1.32 crash there."""
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
NETWORKS = ("mobilenet_v1@0.25", "mobilenet_v2@0.35", "mobilenet_v3_small@0.5")
SIDE = 32
OUTPUT = """
import sys, zipfile, numpy as np, onnxruntime as ort
model = zipfile.ZipFile(sys.argv[1]).read(sys.argv[2])
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
images = np.random.default_rng(0).standard_normal(given.shape, np.float32)
np.save(sys.argv[3], session.run(None, {given.name: images})[0])
"""


def fetch(folder: Path) -> None:
    """Unpack Debian's emulator, and an ARM64 Python with numpy and onnxruntime, into `folder`."""
    root, debs, wheels = folder / "root", folder / "debs", folder / "wheels"
    for path in (
        root / "site",
        debs,
        folder / "apt/lists/partial",
        folder / "apt/archives/partial",
    ):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "apt/status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::State::Lists": folder / "apt/lists",
        "Dir::State::status": folder / "apt/status",
        "Dir::Cache": folder / "apt",
    }
    apt = ["apt-get", "-qq", *(w for key, v in options.items() for w in ("-o", f"{key}={v}"))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", *DEBIAN], check=True, cwd=debs)
    subprocess.run(["apt-get", "-qq", "download", "qemu-user-static"], check=True, cwd=debs)
    for deb in debs.glob("*.deb"):
        place = root if deb.name.endswith("_arm64.deb") else folder / "host"
        subprocess.run(["dpkg", "-x", deb, place], check=True)
    named = [word for name in PLATFORMS for word in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *named]
    pip += ["--python-version", "3.11", "--only-binary=:all:", "-d", str(wheels), *WHEELS]
    subprocess.run(pip, check=True)
    for wheel in wheels.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(root / "site")


def emulated(folder: Path, *words: str | Path) -> str:
    """Run the ARM64 Python; return what it prints."""
    qemu = folder / "host/usr/bin/qemu-aarch64-static"
    command = [qemu, "-L", folder / "root", folder / "root/usr/bin/python3.11", *words]
    environment = {**os.environ, "PYTHONPATH": str(folder / "root/site")}
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def plan() -> Plan:
    """Return the plan of three networks and small references."""
    archs = [scale_resolution(load_architecture(name), SIDE) for name in NETWORKS]
    return plan_check("arm64", archs, references=references_for(SIDE))


def check(folder: Path, dtype: str) -> None:
    """Check that a bundle of one dtype runs, resumes, and computes the same as here."""
    made, bundle, out = plan(), folder / f"{dtype}.zip", folder / f"{dtype}.jsonl"
    out.unlink(missing_ok=True)
    write_bundle(made, bundle, target=Target(dtype=dtype))
    for rounds in (1, 2):  # the second resumes
        emulated(folder, bundle, "--out", out, "--rounds", str(rounds))
    samples = read_samples(out)
    jobs = [one.job for one in samples.repetitions]
    assert not samples.refused, samples.refused
    assert {jobs.count(job) for job in range(samples.references, len(made.jobs))} <= {2, 3, 4}
    assert samples.machine.system.endswith("aarch64"), samples.machine
    assert len(samples.begins) == 2
    print(f"{dtype}: {len(jobs)} repetitions of {len(made.jobs)} models by "
          f"{samples.header['runtime']} on {samples.machine.system}, Python "
          f"{samples.machine.python}; the second call resumed")  # fmt: skip
    if dtype != "fp32":
        return  # the scales of timed int8 graphs are constant, so their outputs say nothing
    for number in range(samples.references, len(made.jobs)):
        print(f"{dtype}: {made.jobs[number].name}: outputs differ from those here by "
              f"{_difference(folder, bundle, number):.1e} of their largest")  # fmt: skip


def _difference(folder: Path, bundle: Path, number: int) -> float:
    """Return the largest difference of outputs there and here, over the largest output."""
    script, name = folder / "output.py", f"models/{number:04d}.onnx"
    script.write_text(OUTPUT)
    emulated(folder, script, bundle, name, folder / "there.npy")
    subprocess.run(
        [sys.executable, script, bundle, name, folder / "here.npy"], check=True, stdout=-3
    )
    there, here = np.load(folder / "there.npy"), np.load(folder / "here.npy")
    assert there.shape == here.shape
    return float(np.abs(there - here).max() / np.abs(here).max())


def main() -> None:
    """Fetch what is missing, and check both dtypes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for 400 MB of downloads")
    folder = parser.parse_args().folder.resolve()
    if not (folder / "root/site/onnxruntime").is_dir():
        fetch(folder)
    version = "import platform, sys; print(platform.machine(), sys.version.split()[0])"
    print(f"emulated: {emulated(folder, '-c', version).strip()}; "
          f"here onnxruntime {onnxruntime.__version__}")  # fmt: skip
    for dtype in ("fp32", "int8"):
        check(folder, dtype)


if __name__ == "__main__":
    main()
