"""Run the command line as `python -m nas.cli`, also if the package is not installed."""

import os
import sys
from pathlib import Path

import nas
from nas.cli import main

if __name__ == "__main__":
    # Python searches the working folder first, where a file may have the name of a package.
    if os.path.realpath(sys.path[0]) not in map(str, Path(nas.__file__).resolve().parents):
        del sys.path[0]
    main()
