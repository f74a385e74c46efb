"""How MobileNetV3-Large compares with what a search of its skeleton finds at its 51 ms.

python -m experiments.rediscover_mobilenetv3.run --data ../shared/data/imagenet_mobilenetv3
"""

from pathlib import Path

from experiments.shared.rediscovery import Case, main

if __name__ == "__main__":
    case = Case(
        space="mobilenetv3",
        baseline="mobilenet_v3_large_nearest",
        limit_ms=51.0,
        others=("mobilenet_v3_large",),
        data="imagenet_mobilenetv3",
    )
    main(case, Path(__file__).resolve().parent)
