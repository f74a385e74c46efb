"""Files of the hub of Hugging Face: from its cache on this machine, else fetched."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nas.core.errors import NasError, UnknownName, first_line, missing_package
from nas.core.text import file_name, shown

logger = logging.getLogger(__name__)

WEIGHTS, CONFIG = "model.safetensors", "config.json"
"""What every model of timm has there."""


def fetch(repo: str, *, hint: str = "") -> Path:
    """Return the folder with weights and configuration of a model, fetched if it is not cached.

    Raises:
        UnknownName: if the hub has no such model; the message ends in `hint`.
        NasError: if it cannot be reached, or the files cannot be kept.
        MissingPackage: if huggingface_hub is not installed.
    """
    instead = f"where it can, fetch {CONFIG} and {WEIGHTS}, and give their folder: timm:FOLDER"
    return cached(repo) or _fetched(repo, (CONFIG, WEIGHTS), instead=instead, hint=hint)[0].parent


def fetch_file(repo: str, name: str, *, instead: str) -> Path:
    """Return a file of a repository on the hub, fetched if it is not cached.

    Raises:
        NasError: as `fetch` does; `instead` says what to do where the hub cannot be reached.
    """
    return _fetched(repo, (name,), instead=instead)[0]


def _fetched(repo: str, names: Sequence[str], *, instead: str, hint: str = "") -> list[Path]:
    try:
        from huggingface_hub import constants, errors, hf_hub_download
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="fetching weights from the hub") from None
    if not constants.HF_HUB_OFFLINE:
        logger.info("fetching %s from the hub", repo)
    try:
        with _without_warnings():
            return [Path(hf_hub_download(repo, name)) for name in names]
    except errors.LocalEntryNotFoundError:
        raise NasError(
            f"{shown(repo)} is not cached, and the hub cannot be reached; {instead}{hint}"
        ) from None
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError, errors.HFValidationError):
        message = f"the hub has no {shown(repo)} with {' and '.join(names)}{hint}"
        raise UnknownName(message) from None
    except Exception as error:  # the hub, what is between, and the disk fail in many ways
        raise NasError(f"cannot fetch {shown(repo)}: {first_line(error)}{hint}") from None


def cached(repo: str) -> Path | None:
    """Return the folder with weights and configuration of a model in the cache, if it is there.

    It is read without huggingface_hub, whose import takes longer than all that is listed.
    """
    model = _cache() / f"models--{repo.replace('/', '--')}"
    try:
        commit = (model / "refs" / "main").read_text(encoding="utf-8")
        folder = model / "snapshots" / file_name(commit, default="none")
        return folder if all((folder / name).is_file() for name in (CONFIG, WEIGHTS)) else None
    except (OSError, ValueError):  # it is not there, or `repo` is no name
        return None


def _cache() -> Path:
    """Return the folder of the cache, as huggingface_hub finds it."""
    if constants := sys.modules.get("huggingface_hub.constants"):
        return Path(constants.HF_HUB_CACHE)
    get = os.environ.get
    home = get("HF_HOME") or f"{get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    found = get("HF_HUB_CACHE") or get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(found)).expanduser()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide the lines about every attempt: the error says it once."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
