"""Delay Ctrl-C where an interrupt would leave something broken."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until the block ends; a second Ctrl-C is handled at once."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    caught: list[Any] = []

    def keep(*signal_and_frame: Any) -> None:
        caught.append(signal_and_frame)
        if len(caught) > 1:
            handler(*signal_and_frame)

    signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if caught:
        handler(*caught[0])


@contextmanager
def block_sigint() -> Iterator[None]:
    """Make processes that are started in the block ignore Ctrl-C; not available on Windows."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
