"""The config.json of a detector on the hub, and the libraries that are told of classifiers only."""

import json
from collections.abc import Mapping
from typing import Any

from nas.core.errors import BadValue
from nas.core.text import file_name
from nas.network.blocks import Architecture
from nas.network.checkpoint import named_classes
from nas.network.detector import Detector, plain_detector


def check_classifier(arch: Architecture, library: str) -> None:
    """Refuse to tell a `library` of a detector.

    Raises:
        BadValue: saying which formats take it.
    """
    if arch.detector:
        raise BadValue(
            f"{library} is told of classifiers only, and {arch.name or 'the network'} is a "
            "detector; export it as onnx, tflite, hub or yaml",
            "detector",
        )


def detector_config(
    arch: Architecture, detector: Detector, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Return the content of config.json; `metadata` are those of a checkpoint.

    How images become the input has timm's keys, as it has for a classifier: they are stretched to
    a square ("squash").
    """
    side = arch.resolution
    labels = {"label_names": names} if (names := named_classes(metadata)) else {}
    return {
        "architecture": file_name(arch.name, default=arch.fingerprint),
        "num_classes": detector.classes,
        **labels,
        "detector": plain_detector(detector),
        "pretrained_cfg": {
            "input_size": [arch.input_channels, side, side],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            **({"mean": json.loads(metadata["mean"])} if "mean" in metadata else {}),
            **({"std": json.loads(metadata["deviation"])} if "deviation" in metadata else {}),
            "num_classes": detector.classes,
        },
    }
