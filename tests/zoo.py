"""Bundled networks to run with numbers: of the EfficientNets the smallest and the largest.

Those between have the same blocks, only more of them; what is cheap is tested of them too.
"""

from nas.core.data import bundled

BETWEEN = tuple(f"efficientnet_b{i}" for i in range(1, 7))
VARIED = tuple(name for name in bundled("architectures") if name not in BETWEEN)
