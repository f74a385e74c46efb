"""Find the part of an object that cannot be sent to a worker, and why."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nas.core.errors import NasError, typed_line

Pack = Callable[[Any], Any]
"""Turns an object into bytes, or raises."""

_DEEPEST = 8


def check_picklable(thing: Any, pack: Pack, *, name: str) -> None:
    """Reject an object that cannot be sent.

    Raises:
        NasError: naming the innermost part that cannot.
    """
    reason = _pickling_error(thing, pack)
    if reason is None:
        return
    for _ in range(_DEEPEST):
        part = next((p for p in _parts(thing) if _pickling_error(p[1], pack) is not None), None)
        if part is None:
            break
        name, thing = f"{name}{part[0]}", part[1]
    raise NasError(
        f"{name}, a {type(thing).__name__}, cannot be sent to workers ({reason}); "
        "make it picklable: no open files, locks, connections or lambdas"
    )


def _pickling_error(thing: Any, pack: Pack) -> str | None:
    """Return why an object cannot be packed, in one line; None if it can."""
    try:
        pack(thing)
    except Exception as error:  # a __reduce__ may raise anything
        return typed_line(error)
    return None


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of an object, each with the text to append to the object's name."""
    if isinstance(thing, Mapping):
        yield from ((f"[{key!r}]", value) for key, value in thing.items())
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from ((f"[{i}]", value) for i, value in enumerate(thing))
    names = [*getattr(thing, "__dict__", ())]
    for kind in type(thing).__mro__:
        slot = kind.__dict__.get("__slots__", ())
        names += [slot] if isinstance(slot, str) else slot
    yield from ((f".{name}", getattr(thing, name)) for name in names if hasattr(thing, name))
    code = getattr(thing, "__code__", None)
    if code:
        cells = zip(code.co_freevars, thing.__closure__ or (), strict=True)
        yield from ((f" with its variable {name}", cell.cell_contents) for name, cell in cells)
