"""Find the supernet that a text names: a folder, or a file of Once-for-All, also on the hub."""

from dataclasses import replace
from pathlib import Path

from nas.core.errors import BadValue, UnknownName
from nas.core.text import shown
from nas.supernet.ofa import OFA, load_ofa
from nas.supernet.supernet import Supernet, is_folder, load_folder
from nas.training.hub import fetch_file

_HUB = "hf:"


def is_supernet(text: str) -> bool:
    """Tell whether `text` names a supernet."""
    return text.startswith(OFA) or is_folder(Path(text))


def load_supernet(text: str) -> Supernet:
    """Return the supernet that `text` names.

    It is a folder, "ofa:PATH" for a file of Once-for-All, or "ofa:hf:OWNER/REPOSITORY/FILE" for one
    on the hub of Hugging Face, which is fetched if it is not cached.

    Raises:
        NasError: if there is none, or a file is damaged or of something else.
    """
    if not text.startswith(OFA):
        return load_folder(Path(text))
    named = text.removeprefix(OFA)
    path = _of_hub(named) if named.startswith(_HUB) else Path(named).expanduser()
    if not path.is_file():
        raise UnknownName(
            f"there is no file {path}; download ofa_mbv3_d234_e346_k357_w1.0 of Once-for-All, and "
            f"give it as {OFA}PATH"
        )
    return replace(load_ofa(path), source=text)


def _of_hub(named: str) -> Path:
    parts = named.removeprefix(_HUB).split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise BadValue(f"a file on the hub is named {OFA}{_HUB}OWNER/REPOSITORY/FILE, not {named}")
    instead = f"where it can, fetch {shown(parts[2])}, and give it as {OFA}PATH"
    return fetch_file("/".join(parts[:2]), parts[2], instead=instead)
