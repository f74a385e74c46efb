"""Ctrl-C during work that must be completed."""

import signal

import pytest

from nas.core.interrupts import delay_interrupts


def test_ctrl_c_waits() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), delay_interrupts():
        done = [signal.raise_signal(signal.SIGINT), 1]
    assert done == [None, 1]
    with delay_interrupts():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_does_not() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), delay_interrupts():
        done = [signal.raise_signal(signal.SIGINT) for _ in range(3)]
    assert done == []


def test_an_error_in_the_block_takes_precedence_over_an_interrupt() -> None:
    with pytest.raises(ZeroDivisionError), delay_interrupts():
        _ = signal.raise_signal(signal.SIGINT) or 1 / 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with delay_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
