"""Stands for your training: reads an architecture, and prints an accuracy.

What matters is the shape: JSON on standard input, one fraction on the last line of the output.
"""

import json
import sys

from nas.network.blocks import from_mapping
from nas.network.cost import cost

arch = from_mapping(json.load(sys.stdin))
print(f"a network of {cost(arch).params:,} parameters", file=sys.stderr)
print(1 - 0.5 * (1e5 / (1e5 + cost(arch).macs)))
