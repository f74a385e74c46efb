"""The text of a plugin: its name with options, as in "surrogate:my.npz,key=value"."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from nas.core.errors import NasError
from nas.core.schema import FromFile
from nas.core.text import without_secrets

_KEY = r"[A-Za-z_]\w*\s*="
_QUOTED = r'"(?:[^"]|"")*"'
_PAIR = rf"\s*{_KEY}(?>\s*{_QUOTED}\s*(?=,|\Z)|[^,]*)"
_ONE_PLACE = re.compile(r"[A-Za-z]:[/\\]|[A-Za-z][\w+.-]*://")
"""The beginning of a path with a drive, or of a URL: not that of a plugin, for all its colon."""
_PLACED = re.compile(r"[/\\~]|\.\.?[/\\]|file:|[A-Za-z]:[/\\]")
"""The beginning of a path that says more than where it lies below the working folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin with its options as text: "surrogate:my.npz"."""

    name: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Plugin":
        """Return the plugin of "NAME", "NAME:PATH", or either with ",key=value" after it.

        A first part without a key is the option `path`. A path may contain colons, commas and
        equals signs: the options begin after its last part without a key. A path or value may be
        in double quotes, with a quote in it doubled: `imagefolder:"/data/a b,c=d",val=0.2`.

        Raises:
            NasError: if a part after the first option has no key, or a quote is not closed.
        """
        name, _, rest = text.partition(":")
        path, pairs = _path_and_pairs(rest.strip().rstrip(","))
        for pair in pairs:
            if "=" not in pair:
                raise NasError(f"{text!r}: expected NAME:key=value, found {pair!r} without a value")
        keyed = [pair.partition("=") for pair in pairs]
        options = {key.strip(): _unquoted(value.strip()) for key, _, value in keyed}
        options = {**({"path": path} if path else {}), **options}
        kept = FromFile if isinstance(text, FromFile) else str
        return cls(name=kept(name.strip()), options={k: kept(v) for k, v in options.items()})

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        rest = ",".join(f"{key}={_quoted(value)}" for key, value in self.options.items())
        return f"{self.name}:{rest}" if rest else self.name


def without_folders(text: str) -> str:
    """Return the text of a plugin, or the path of a file, without the folders of this machine.

    Paths that are absolute, or begin at the home or another folder, are cut to their last names:
    "imagefolder:/home/me/pets,val=0.2" becomes "imagefolder:pets,val=0.2". URLs lose their secrets.
    """
    with suppress(NasError):  # of a path with a quote in it
        plugin = Plugin.parse("" if _ONE_PLACE.match(text) else text)
        if plugin.options:
            kept = {key: _quoted(_last_name(value)) for key, value in plugin.options.items()}
            parts = (value if key == "path" else f"{key}={value}" for key, value in kept.items())
            return f"{_last_name(plugin.name)}:{','.join(parts)}"
    return _last_name(text)


def _last_name(path: str) -> str:
    """Return the last name of a path, unless it is relative or a URL."""
    names = re.split(r"[/\\]+", path.rstrip("/\\"))
    return names[-1] if _PLACED.match(path) else without_secrets(path)


def _path_and_pairs(text: str) -> tuple[str, list[str]]:
    """Return the path at the start of `text`, if any, and the parts after it."""
    if re.match(rf"\s*{_KEY}", text) or not text:
        return "", _parts(text)
    if quoted := re.match(rf"({_QUOTED})\s*(?:,|\Z)", text):
        return _unquoted(quoted[1]), _parts(text[quoted.end() :])
    pairs = re.search(rf"(?:,{_PAIR})*\Z", text)
    assert pairs is not None  # it may be empty
    return _unquoted(text[: pairs.start()].strip()), _parts(pairs[0])


def _parts(text: str) -> list[str]:
    """Split `text` at its commas, except those in quoted values."""
    return re.findall(rf"{_PAIR}|[^,]+", text)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    if not re.fullmatch(_QUOTED, text):
        raise NasError(f"{text}: expected one value in double quotes, with quotes in it doubled")
    return text[1:-1].replace('""', '"')


def _quoted(text: str) -> str:
    """Return `text` as `parse` reads an option's value, in quotes where necessary."""
    plain = text == text.strip() and not re.search('[,"]', text)
    return text if plain else '"' + text.replace('"', '""') + '"'
