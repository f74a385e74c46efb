"""One thread for the linear algebra of numpy, which decides speed here and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy's matrix products run in one thread inside; a decorator as well.

    The matrices of a search are small: threads cost more than they bring, tenfold on a busy
    machine. Nothing changes outside, whatever was imported first. The number of threads belongs to
    the process: another Python thread that multiplies meanwhile does so in one thread, too.
    """
    libraries = [(library, library.get_num_threads()) for library in _libraries()]
    several = [(library, count) for library, count in libraries if count > 1]
    for library, _ in several:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in several:
            library.set_num_threads(count)


@cache
def _libraries() -> tuple[Any, ...]:
    """Return what sets the threads of the linear algebra that is loaded; numpy must be."""
    from threadpoolctl import ThreadpoolController  # when first asked for, as it takes 20 ms

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)
