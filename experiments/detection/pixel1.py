"""Print predicted latencies of detectors on the Pixel 1 beside measured ones.

    python -m experiments.detection.pixel1

The measurements are of one large core, at 320 px and 91 classes: by TensorFlow's model zoo and
Howard et al., 2019 (MobileNetV3), Sandler et al., 2018 (MobileNetV2), Tan et al., 2019 (MnasNet).
The table was fitted to classifiers at 96 to 224 px.
"""

from argparse import ArgumentParser

import numpy as np

from nas.latency.file import load_table
from nas.network.zoo import load_architecture

TABLE = "pixel1"
MEASURED = {
    "ssdlite:mobilenet_v3_large,reduced_tail=true,fewer_anchors=true": 119,
    "ssdlite:mobilenet_v3_large,fewer_anchors=true": 137,
    "ssdlite:mobilenet_v3_small,reduced_tail=true,fewer_anchors=true": 43,
    "ssdlite:mobilenet_v2,fewer_anchors=true": 162,
    "ssdlite:mobilenet_v1,fewer_anchors=true": 228,
    "ssdlite:mnasnet_a1,fewer_anchors=true": 174,
}


def main() -> None:
    """Print a row for each detector, and the mean errors."""
    ArgumentParser(description=__doc__).parse_args()
    table = load_table(TABLE)
    errors = []
    for name, measured in MEASURED.items():
        found = table.predict(load_architecture(name))
        errors.append(found.ms / measured - 1)
        interval = f"{found.low_ms:.0f} to {found.high_ms:.0f}"
        print(f"{name:64} {measured:4} ms  {found.ms:6.1f} ({interval})  {100 * errors[-1]:+.1f} %")
    bias, error = 100 * np.mean(errors), 100 * np.mean(np.abs(errors))
    print(f"bias {bias:+.1f} %, mean absolute error {error:.1f} %")


if __name__ == "__main__":
    main()
