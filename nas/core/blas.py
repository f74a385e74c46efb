"""Limit numpy's linear algebra to one thread, which is faster for small matrices."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run numpy's matrix products in one thread inside the block; also usable as a decorator.

    On small matrices threads cost more than they save, tenfold on a busy machine. The limit holds
    for the whole process, other Python threads included, and is lifted afterwards.
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
    """Return the loaded linear algebra libraries; numpy must be imported."""
    from threadpoolctl import ThreadpoolController  # imported lazily, since it takes 20 ms

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def blas_threads() -> dict[str, int]:
    """Return the number of threads of each loaded linear algebra library, by its name."""
    return {str(library.prefix): int(library.get_num_threads()) for library in _libraries()}
