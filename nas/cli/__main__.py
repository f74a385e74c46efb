"""Run the command line as `python -m nas.cli`, where nothing is installed beside Python."""

import os
import sys
from pathlib import Path

import nas
from nas.cli import main

if __name__ == "__main__":
    # Python looks in the working folder first, where anything may lie that is named like a package.
    if os.path.realpath(sys.path[0]) not in map(str, Path(nas.__file__).resolve().parents):
        del sys.path[0]
    main()
