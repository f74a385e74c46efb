"""Fit and judge the accuracy model of `mbconv`; write model, result and plot.

python -m experiments.fit_mbconv_accuracy.run --data ../shared/data/imagenet_mnasnet
"""

from pathlib import Path

from experiments.shared.fitting import main

if __name__ == "__main__":
    main("mbconv", Path(__file__).resolve().parent, "imagenet_mnasnet")
