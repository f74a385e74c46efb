"""How MobileNetV3-Large compares with what a search of its skeleton finds at its 51 ms.

python experiments/rediscover_mobilenetv3/run.py --data ../shared/data/imagenet_mobilenetv3
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rediscovery import Case, main

if __name__ == "__main__":
    case = Case(
        space="mobilenetv3",
        baseline="mobilenet_v3_large_nearest",
        limit_ms=51.0,
        others=("mobilenet_v3_large",),
        data="imagenet_mobilenetv3",
    )
    main(case, Path(__file__).resolve().parent)
