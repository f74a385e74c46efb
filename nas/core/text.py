"""Make untrusted text safe to print, and untrusted names safe as file names.

Names, classes, error messages and values of files may come from anybody. A terminal obeys control
characters, a path follows `../`, and a small file can hold a value whose text is enormous.
"""

import re
import reprlib
import unicodedata
from collections.abc import Sequence
from itertools import accumulate

LONGEST_VALUE = 200
"""The most characters of a value from a file that a message shows."""
LONGEST_MESSAGE = 1000
"""The most characters of a message to the user."""

_LONGEST_FILE_NAME = 80
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that a terminal obeys or does not show: controls, direction marks."""

_WORD = re.compile(r"\S+")
_SETTING = re.compile(r"(?<=[?&;,#])([\w.%-]++)=([^&;,#'\"\\]+)")
"""A setting in a URL or of a plugin, as in `?key=value` and `,key=value`."""
_IS_SECRET = re.compile(
    r"token|secret|passw|pwd|credential|signature|api_?key|access_?key"
    r"|(?:\A|[_.-])(?:key|sig)(?:\Z|[_.-])",
    re.IGNORECASE,
)
_LONGEST_READ = 10 * LONGEST_MESSAGE
"""The most characters of a text that are processed; more would not be shown anyway."""

_LONGEST_NUMBER = 256  # bits


class _Bounded(reprlib.Repr):
    """Represents only as much of a value as is shown."""

    def repr1(self, x: object, level: int) -> str:
        """Represent one value; subclasses of dict are shortened too."""
        return self.repr_dict(x, level) if isinstance(x, dict) else super().repr1(x, level)

    def repr_int(self, x: int, level: int) -> str:
        """Represent a whole number; Python refuses to print more than 4,300 digits."""
        many = x.bit_length()
        return f"<a number of {many} bits>" if many > _LONGEST_NUMBER else repr(x)


_bounded = _Bounded()
_bounded.maxlevel = 4
_bounded.maxtuple = _bounded.maxlist = _bounded.maxdict = _bounded.maxset = 8
_bounded.maxstring = _bounded.maxother = LONGEST_VALUE


def counted(number: int, what: str) -> str:
    """Return a count with its noun, as in "1 epoch" and "2 epochs"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def printable(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Return `text` on one line of at most `most` characters, with control characters escaped."""
    # Escaping only lengthens text, so what lies beyond `most` can be ignored.
    beginning = text[: most + 1]
    if not beginning.isprintable():
        beginning = "".join(map(_visible, beginning))
    return beginning if len(beginning) <= most else f"{beginning[: most - 3]}..."


def shown(value: object, most: int = LONGEST_VALUE) -> str:
    """Return the `repr` of `value`, printable and cut to `most` characters.

    Only what is shown is represented: aliases in a small YAML file can stand for gigabytes.
    """
    if isinstance(value, str):
        value = without_secrets(value[:_LONGEST_READ])
    return printable(_bounded.repr(value), most)


def without_secrets(text: str) -> str:
    """Return `text` with the users, passwords and tokens of its URLs masked."""
    return _WORD.sub(lambda found: _masked(found[0]), text)


def safe(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Return `text` with the secrets of its URLs masked, and each line `printable`."""
    return "\n".join(one_line(line, most) for line in text.split("\n"))


def one_line(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Return `text` with the secrets of its URLs masked, `printable` on one line."""
    return printable(without_secrets(text[:_LONGEST_READ]), most)


def few(texts: Sequence[str], most: int = 3, between: str = ", ") -> str:
    """Return the first few of `texts`, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return between.join(texts[:most]) + more


def all_or_count(texts: Sequence[str], most: int) -> str:
    """Return the first of `texts`, and the number of others, in at most `most` characters."""
    joined = "; ".join(texts)
    if len(joined) <= most:
        return joined
    room = most - len(f" (and {len(texts)} more)")
    ends = accumulate(len(text) + len("; ") for text in texts)
    named = max(sum(end - len("; ") <= room for end in ends), 1)
    return f"{'; '.join(texts[:named])} (and {len(texts) - named} more)"


def file_name(name: str, *, default: str) -> str:
    """Return `name` as a file name that stays in its folder, `default` if nothing is left.

    Characters other than letters, digits and `.+@-_` become underscores. The result never begins
    with a dot or a dash, and has at most 80 characters.
    """
    safe = re.sub(r"[^\w.+@-]+", "_", name[: 2 * _LONGEST_FILE_NAME]).lstrip("._-")
    return safe[:_LONGEST_FILE_NAME] or default


def _masked(word: str) -> str:
    """Return a word of a text with its secrets masked; a password may hold an @ or a slash."""
    scheme, mark, rest = word.partition("://")
    if mark and "@" in rest:
        word = f"{scheme}://***@{rest.rpartition('@')[2]}"
    return _SETTING.sub(_masked_setting, word)


def _masked_setting(found: re.Match[str]) -> str:
    return f"{found[1]}=***" if _IS_SECRET.search(found[1]) else found[0]


def _visible(character: str) -> str:
    """Return a character, or its escape if a terminal would obey or hide it."""
    if unicodedata.category(character) not in _UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")
