"""Fit and judge the accuracy model of `mobilenetv3`; write model, result and plot."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from accuracy_fitting import main  # noqa: E402  # stands beside this folder

if __name__ == "__main__":
    main("mobilenetv3", HERE, HERE.parents[2] / "shared" / "data" / "imagenet_mobilenetv3")
