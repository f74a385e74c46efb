"""Worker processes on this machine."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nas.core.workers.runners.local import create

ROOT = Path(__file__).parents[3]
DRIVER = """
import os, sys, time
from pathlib import Path
from nas.core.workers.runners.local import create

def work(shared, task):
    Path(task).write_text(str(os.getpid()))
    time.sleep(100)

if __name__ == "__main__":
    list(create(workers=1).map(work, None, [sys.argv[1]]))
"""


def test_there_is_a_worker_per_core_unless_told() -> None:
    assert create().workers >= 1
    assert create(workers=3).workers == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    driver = subprocess.Popen(
        [sys.executable, tmp_path / "driver.py", tmp_path / "pid"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert driver.poll() is None
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    worker = int((tmp_path / "pid").read_text())
    with suppress(ProcessLookupError):
        for _ in range(200):
            os.kill(worker, 0)
            if Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
                return
            time.sleep(0.05)
        pytest.fail("the worker outlived its driver")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_script_that_every_worker_would_run_again_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    start, _, end = DRIVER.partition('if __name__ == "__main__":\n    ')
    script.write_text(start + end)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, tmp_path / "pid"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"nas.core.errors.RunError: several workers would each run {script} again; put what it "
        'does under `if __name__ == "__main__":`, or take `workers=1`'
    )
    assert not (tmp_path / "pid").exists()
