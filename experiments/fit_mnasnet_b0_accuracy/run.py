"""Fit and evaluate the accuracy model of `mbconv`; write model, result and plot.

python -m experiments.fit_mnasnet_b0_accuracy.run --data ../shared/data/imagenet_mnasnet
"""

from pathlib import Path

from experiments.shared.fitting import main

if __name__ == "__main__":
    main("mnasnet_b0", Path(__file__).resolve().parent, "imagenet_mnasnet")
