"""How EfficientNet-B0 compares with what a search of its space finds at its own latency.

python -m experiments.rediscover_b0.run --data ../shared/data/imagenet_mnasnet
"""

from pathlib import Path

from experiments.shared.rediscovery import Case, main
from nas import load_architecture, load_table

if __name__ == "__main__":
    budget = load_table("pixel1").predict(load_architecture("efficientnet_b0")).ms
    case = Case(
        space="mnasnet_b0",
        baseline="efficientnet_b0",
        limit_ms=round(budget, 3) + 1e-3,
        others=("mobilenet_v3_large", "mnasnet_a1"),
        data="imagenet_mnasnet",
    )
    main(case, Path(__file__).resolve().parent)
