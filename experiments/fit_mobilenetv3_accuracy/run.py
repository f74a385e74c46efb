"""Fit and evaluate the accuracy model of `mobilenetv3`; write model, result and plot.

python -m experiments.fit_mobilenetv3_accuracy.run --data ../shared/data/imagenet_mobilenetv3
"""

from pathlib import Path

from experiments.shared.fitting import main

if __name__ == "__main__":
    main("mobilenetv3", Path(__file__).resolve().parent, "imagenet_mobilenetv3")
