"""Bundled networks to run: by default only the smallest of the EfficientNets.

The others have the same blocks, only more and wider ones. `pytest -m slow` also runs the largest;
cheap tests cover all.
"""

import pytest

from nas.core.data import bundled

BETWEEN = tuple(f"efficientnet_b{i}" for i in range(1, 7))
LARGEST = "efficientnet_b7"
VARIED = tuple(
    pytest.param(name, marks=pytest.mark.slow) if name == LARGEST else name
    for name in bundled("architectures")
    if name not in BETWEEN
)
EVERY = (*VARIED, *(pytest.param(name, marks=pytest.mark.slow) for name in BETWEEN))
