"""A measurement that is killed resumes where it was, and repeats nothing."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from nas.latency.measure.samples import read_samples

ROOT = Path(__file__).parents[3]

_SLOW = """
import sys, time
from pathlib import Path
from nas.network.blocks import Block
from nas.latency.backends import fake
from nas.network.lowering import lower_block
from nas.latency.measure.plan import plan_units
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, measure_plan

path, pause = Path(sys.argv[1]), float(sys.argv[2])
opened = fake.Fake.open
def slow(self, model):
    run = opened(self, model)
    def wait():
        time.sleep(pause)
        return run()
    return wait
fake.Fake.open = slow
units = [
    lower_block(Block(kind="conv", in_channels=8, out_channels=n), (8, 14, 14), name="unit")
    for n in range(8, 20)
]
plan = plan_units("units", units)
measure_plan(plan, Target(backend="fake"), path, rounds=Rounds(least=8, most=8))
"""


def test_killed_in_the_middle_it_resumes_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    words = [sys.executable, "-c", _SLOW, str(path)]
    process = subprocess.Popen([*words, "0.0005"], cwd=ROOT)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (
        not path.exists() or path.read_bytes().count(b'"visit"') < 30
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = path.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    done = read_samples(path).repetitions
    assert 30 <= len(done) < 8 * 12
    subprocess.run([*words, "0"], cwd=ROOT, check=True)
    assert path.read_bytes().startswith(whole)
    samples = read_samples(path)
    assert samples.repetitions[: len(done)] == done
    assert len(samples.begins) == 2
    first = samples.references
    counts = Counter(
        repetition.job for repetition in samples.repetitions if repetition.job >= first
    )
    assert counts == dict.fromkeys(range(first, first + 12), 8)
