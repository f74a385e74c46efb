"""Agreement of two latencies: known answers, and the bundled tables."""

from collections.abc import Callable

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.latency.file import load_table
from nas.latency.measure.agreement import agreement, counted, latencies, sample
from nas.network.cost import cost
from nas.space.file import load_space

SPACE = load_space("mobilenetv3")
NAMES = ("a", "b")


def test_a_power_of_a_latency_has_its_order_and_no_scatter() -> None:
    first = np.geomspace(1, 50, 40)
    found = agreement(first, 3 * first**1.5, names=NAMES, space="s")
    assert (found.tau, found.spearman, found.scatter, found.worst) == (1.0, 1.0, 0.0, 0.0)
    assert found.kept == 1.0


def test_ranks_are_counted_by_hand() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    found = agreement(first, second, names=NAMES, space="s")
    assert found.tau == pytest.approx(4 / 6, abs=1e-4)
    assert found.spearman == pytest.approx(0.8)
    back = agreement(first, 1 / second, names=NAMES, space="s")
    assert (back.tau, back.kept) == (pytest.approx(-4 / 6, abs=1e-4), 0.0)
    tied = agreement(np.ones(4), second, names=NAMES, space="s")
    assert (tied.tau, tied.spearman) == (0.0, 0.0)


def test_a_table_of_the_same_phone_tells_more_than_multiply_adds() -> None:
    rows = sample(SPACE, 100)
    pixel = latencies(load_table("pixel1"), SPACE, rows)
    macs = counted("macs", SPACE, rows)
    assert macs[0] == cost(SPACE.decode_row(rows[0])).macs / 1e6
    other = latencies(load_table("note10"), SPACE, rows)
    by_pixel = agreement(pixel, other, names=NAMES, space="s")
    by_macs = agreement(macs, other, names=NAMES, space="s")
    assert 0.8 < by_pixel.tau <= 1
    assert by_pixel.scatter < 0.1
    assert by_macs.tau < 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(NasError, match="`networks=9`: expected 10 or more"):
        sample(SPACE, 9)
    with pytest.raises(NasError, match="unknown count 'flops'"):
        counted("flops", SPACE, sample(SPACE, 10))


def test_the_command(nas: Callable[..., object]) -> None:
    words = ("latency", "compare", "pixel1", "--networks", "50")
    reply = nas(*words, "note10")
    assert reply.out.startswith("50 random networks of mobilenetv3: Kendall's tau 0.")
    assert "note10 from pixel1: mean error" in reply.out
    assert "pixel1 from macs" in nas(*words, "--against", "macs").out
    wrong = nas(*words)
    assert (wrong.code, wrong.err) == (2, "error: name two tables, or one and --against macs\n")
