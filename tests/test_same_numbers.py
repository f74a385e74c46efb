"""Predictions and searches are the same on every processor, whatever the settings of numpy."""

import json
import os
import subprocess
import sys
from functools import cache

import pytest

from nas.core.doctor import instruction_sets

CHILD = """
import hashlib, json, sys
if "numpy" in sys.argv:
    import numpy
import nas
import numpy as np

def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()

found = {}
for name in ("mnasnet_b0", "mobilenetv3"):
    model = nas.load_accuracy_model(name)
    rows = model.domain.sample_matrix(np.random.default_rng(0), 2000)
    found[name] = digest(*model.predict_matrix(rows))
searches = (
    {"strategy": "archive", "trials": 400},
    {"strategy": "archive", "trials": 300, "reward": "target=80"},
    {"strategy": "evolution", "trials": 200},
    {"strategy": "guided", "trials": 36},
    {"strategy": "random", "trials": 40, "screen": 8},
)
for settings in searches:
    run = nas.search(space="mnasnet_b0", latency_table="pixel1", seed=3, **settings)
    metrics = [run.trials.metrics[metric] for metric in sorted(run.trials.metrics)]
    found[str(settings)] = digest(run.trials.picks, run.front, *metrics), len(run.front)
print(json.dumps(found))
"""
NO_AVX = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
"""Numpy's own exponentials and logarithms differ as well; unknown names only cause a warning."""

NEWEST = "SkylakeX" if "avx512f" in instruction_sets() else "Haswell"
"""The code for this processor; that of AVX-512 stops a process on one without."""


@cache
def found(*words: str, **environment: str) -> dict[str, object]:
    """Return the digests of a fresh process with arguments `words` and variables `environment`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS", "NPY_DISABLE"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, *words],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ((), {"OPENBLAS_CORETYPE": "Haswell"}),
        ((), {"OPENBLAS_CORETYPE": "Sandybridge", **NO_AVX}),
        (("numpy",), {"OPENBLAS_CORETYPE": NEWEST, "OPENBLAS_NUM_THREADS": "2"}),
    ],
    ids=["avx2", "avx", "two threads, numpy first"],
)
def test_same_on_every_processor(words: tuple[str, ...], environment: dict[str, str]) -> None:
    assert found(*words, **environment) == found()
