"""Optional parts of results may fail, in one line, and cost nothing."""

import pytest

from nas.core.errors import NasError
from nas.core.optional import optional


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NasError("it is full"), "without the picture: it is full"),
        (OSError(28, "No space left on device"), "without the picture: No space left on device"),
        (
            ModuleNotFoundError("No module named 'matplotlib.figure'", name="matplotlib.figure"),
            "the picture needs matplotlib; install it: pip install 'nas[plot]'",
        ),
        (
            ZeroDivisionError("a\nb"),
            r"without the picture, because of a bug: ZeroDivisionError: a\nb (te",
        ),
        (
            ModuleNotFoundError("No module named 'nas.x'", name="nas.x"),
            "without the picture, because of a",
        ),
    ],
)
def test_what_fails_is_one_line(error: Exception, text: str) -> None:
    said: list[str] = []
    with optional("the picture", said.append):
        raise error
    (line,) = said
    assert line.startswith(text)
    assert line.isprintable()


def test_a_bug_names_its_place() -> None:
    said: list[str] = []
    with optional("the picture", said.append):
        raise ValueError("x")
    assert said[0].endswith("ValueError: x (test_optional.py, line 40)")


def test_an_interrupt_passes_and_what_works_says_nothing() -> None:
    said: list[str] = []
    with optional("the picture", said.append):
        pass
    with pytest.raises(KeyboardInterrupt), optional("the picture", said.append):
        raise KeyboardInterrupt
    assert not said
