"""One thread for the linear algebra of numpy, which is faster for small matrices."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy's matrix products run in one thread inside; a decorator as well.

    On small matrices threads cost more than they save, tenfold on a busy machine. The number of
    threads belongs to the process: another Python thread that multiplies meanwhile uses one, too.
    Afterwards it is as before.
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
    """Return the loaded libraries of linear algebra; numpy must be imported."""
    from threadpoolctl import ThreadpoolController  # when first asked for, as it takes 20 ms

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def blas_threads() -> dict[str, int]:
    """Return how many threads the loaded libraries of linear algebra take, by their names."""
    return {str(library.prefix): int(library.get_num_threads()) for library in _libraries()}
