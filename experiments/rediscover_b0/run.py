"""What a search finds at the latencies of MnasNet-A1 and EfficientNet-B0.

python -m experiments.rediscover_b0.run --data ../shared/data
"""

from pathlib import Path

from experiments.shared.rediscovery import Target, main

if __name__ == "__main__":
    targets = (
        Target(name="mnasnet_a1", published=75.2),
        Target(name="efficientnet_b0", published=77.1),
    )
    main(targets, Path(__file__).resolve().parent, front=True)
