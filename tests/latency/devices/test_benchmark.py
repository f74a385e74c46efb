"""The output of LiteRT's benchmark_model, in both forms, and when it fails."""

import pytest

from nas.core.errors import NasError
from nas.latency.devices._benchmark import check_program, command, times_ms

FIRST = """STARTING!
Log parameter values verbosely: [0]
Graph: [/data/local/tmp/m.tflite]
#threads used for CPU inference: [1]
Loaded model /data/local/tmp/m.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
The input model file size (MB): 0.124
Initialized session in 5.685ms.
Running benchmark for at least 1 iterations and at least 0 seconds.
count=1 curr=12811

Running benchmark for at least 3 iterations and at least 0.004 seconds.
count=7 first=6610 curr=6502 min=6485 max=6702 avg=6573.5 std=75

Inference timings in us: Init: 5685, First inference: 128, Warmup (avg): 12, Inference (avg): 6573.5
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
Memory footprint delta from the start of the tool (MB): init=1.2 overall=6.4
"""
SECOND = """========== BENCHMARK RESULTS ==========
Model initialization: 5.69 ms
Warmup (first):       12.81 ms
Warmup (avg):         12.81 ms (1 runs)
Inference (avg): 6.57 ms (7 runs)
Inference (min):      6.48 ms
Inference (max):      6.70 ms
"""
MISSING = """INFO: Initialized TensorFlow Lite runtime.
ERROR: Didn't find op for builtin opcode 'HARD_SWISH' version '1'. An older version of this builtin.
ERROR: Registration failed.
Failed to initialize the interpreter
Benchmarking failed.
"""


@pytest.mark.parametrize(
    ("text", "times"),
    [
        (FIRST, (6.485, 6.5735)),
        (SECOND, (6.57, 6.57)),
        (FIRST + SECOND, (6.485, 6.5735)),
        ("Inference timings in us: Init: 1, Inference (avg): 1.5e+03\n", (1.5, 1.5)),
        ("Inference (avg): 0.25 ms (50 runs)", (0.25, 0.25)),
        ("count=3 first=9 curr=9 min=9 max=9 avg=9 std=0\nInference (avg): 2 ms (3 runs)", (2, 2)),
    ],
)
def test_both_forms_are_read(text: str, times: tuple[float, float]) -> None:
    assert times_ms(text) == pytest.approx(times)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MISSING, "ERROR: Didn't find op for builtin opcode 'HARD_SWISH' version '1'"),
        ("Segmentation fault \n", "Segmentation fault"),
        ("", "it printed nothing"),
        ("count=0 first=0 curr=0 min=0 max=0 avg=0 std=0\n", "count=0"),
        ("Inference (avg): nan ms", "nan"),
        ('CANNOT LINK EXECUTABLE "x": library "libc.so.6" not found\n', "CANNOT LINK EXECUTABLE"),
    ],
)
def test_a_run_without_times_says_why(text: str, said: str) -> None:
    with pytest.raises(NasError, match=r"benchmark_model gave no times: ") as raised:
        times_ms(text)
    assert said in str(raised.value)


def test_the_command_line_has_the_flags_and_quotes_what_needs_it() -> None:
    found = command("/d/b", "/d/my m.tflite", threads=4, xnnpack=False, seconds=0.004, runs=3)
    assert found.split(" --")[1:] == [
        "num_threads=4",
        "num_runs=3",
        "warmup_runs=1",
        "warmup_min_secs=0",
        "min_secs=0.004",
        "max_secs=60",
        "use_xnnpack=false",
    ]
    assert found.startswith("/d/b '--graph=/d/my m.tflite' --")


def elf(machine: int) -> bytes:
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(100)


def test_a_program_for_another_phone_is_refused() -> None:
    check_program(elf(183), "b", abis=("arm64-v8a", "armeabi-v7a"))
    check_program(elf(40), "b", abis=("arm64-v8a", "armeabi-v7a"))
    with pytest.raises(NasError, match="b is for x86_64, and the phone is arm64-v8a: take that"):
        check_program(elf(62), "b", abis=("arm64-v8a",))
    with pytest.raises(NasError, match="b is no program for Android"):
        check_program(b"#!/bin/sh", "b", abis=("arm64-v8a",))
