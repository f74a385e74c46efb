"""The arguments of experiments that train."""

import argparse
from pathlib import Path


def training_parser(folder: Path, *, seeds: int, epochs: int) -> argparse.ArgumentParser:
    """Return the parser of an experiment whose results go to `folder`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--out", type=Path, default=Path("runs") / folder.name)
    parser.add_argument("--read", action="store_true", help="Train nothing.")
    parser.add_argument("--to", type=Path, default=folder, help="Where the results go.")
    return parser
