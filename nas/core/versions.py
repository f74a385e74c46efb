"""The versions of this code and of installed packages."""

import subprocess
from importlib import metadata
from pathlib import Path


def code_version() -> str:
    """Return the version of this package, with the commit if it runs from a checkout."""
    version, made = version_of("nas") or "0", commit()
    return f"{version} ({made[:10]})" if made else version


def commit() -> str | None:
    """Return the commit of the checkout that this package runs from, None if installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def version_of(package: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
