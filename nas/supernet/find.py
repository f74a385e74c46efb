"""Find the supernet that a text names: a folder, or a file of Once-for-All."""

from pathlib import Path

from nas.core.errors import UnknownName
from nas.supernet.ofa import OFA, load_ofa
from nas.supernet.supernet import Supernet, is_folder, load_folder


def is_supernet(text: str) -> bool:
    """Tell whether `text` names a supernet."""
    return text.startswith(OFA) or is_folder(Path(text))


def load_supernet(text: str) -> Supernet:
    """Return the supernet that `text` names: a folder, or "ofa:PATH" for a file of Once-for-All.

    Raises:
        NasError: if there is none, or a file is damaged or of something else.
    """
    if not text.startswith(OFA):
        return load_folder(Path(text))
    path = Path(text.removeprefix(OFA)).expanduser()
    if not path.is_file():
        raise UnknownName(
            f"there is no file {path}; download ofa_mbv3_d234_e346_k357_w1.0 of Once-for-All, and "
            f"give it as {OFA}PATH"
        )
    return load_ofa(path)
