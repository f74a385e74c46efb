"""What a search finds at the latencies of MobileNetV3-Small and of MobileNetV3-Large at two widths.

python -m experiments.rediscover_mobilenetv3.run --data ../shared/data
"""

from pathlib import Path

from experiments.shared.rediscovery import Target, main

if __name__ == "__main__":
    targets = (
        Target(name="mobilenet_v3_small", published=67.4),
        Target(name="mobilenet_v3_large@0.75", published=73.3),
        Target(name="mobilenet_v3_large", published=75.2),
    )
    main(targets, Path(__file__).resolve().parent)
