"""Read model cards."""

from pathlib import Path


def how_found(card: Path) -> list[str]:
    """Return what a card says of how its network was found, a paragraph each."""
    text = card.read_text(encoding="utf-8").replace("\\", "")
    found = text.partition("## How it was found\n")[2].partition("##")[0]
    return [part.strip() for part in found.split("\n\n") if part.strip()]
