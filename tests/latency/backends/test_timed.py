"""The clock of a run: the thread's processor time, except where a virtual machine loses it."""

import pytest

from nas.latency import backends
from nas.latency.backends import timed


class Clocks:
    """Two clocks, one of which shows only a share of the time."""

    def __init__(self, share: float) -> None:
        self.now, self.share = 0.0, share

    def perf_counter(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.share * self.now

    def get_clock_info(self, _name: str) -> "Clocks":
        return self

    resolution = 1e-9


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Clocks:
    made = Clocks(request.param)
    monkeypatch.setattr(backends, "time", made)
    return made


@pytest.mark.parametrize(
    ("clocks", "threads", "wanted"),
    [(1.0, 1, 2.0), (0.3, 1, 0.6), (0.05, 1, 2.0), (0.0, 1, 2.0), (0.3, 2, 2.0)],
    indirect=["clocks"],
)
def test_a_run_whose_processor_time_was_lost_counts_with_the_time_on_the_clock(
    clocks: Clocks, threads: int, wanted: float
) -> None:
    def work() -> None:
        clocks.now += 2.0

    assert timed(work, threads=threads)() == pytest.approx(wanted)
