"""Latency tables in the formats of other projects, and entries for made-up ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from nas.latency.dialect import DialectEntry
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.space.file import load_space
from nas.space.rows import Picks
from nas.space.space import Space

DATA = Path(__file__).parent / "data"
PROXYLESS = DATA / "proxylessnas_table.yaml"
OFA = DATA / "ofa_tables"
BLOCK = "expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:3-stride:1-idskip:1"
OFA_BLOCK = BLOCK.replace("expand:3", "expand:72") + "-se:0-hs:0"


def made_up(*archs: Architecture) -> dict[str, DialectEntry]:
    """Return an entry for every unit of some architectures, each with a latency of its own."""
    keys = dict.fromkeys(unit.key for arch in archs for unit in lower(arch))
    return {
        key: DialectEntry(ms=0.1 + i / 7, deviation_ms=0.01 + i / 1000, count=10 + i)
        for i, key in enumerate(keys)
    }


def drawn(space: Space, rng: np.random.Generator) -> Picks:
    """Return random picks."""
    return space.unpack(space.sample_matrix(rng, 1)[0])


def at_two_resolutions() -> dict[str, DialectEntry]:
    space = load_space("mobilenetv3")
    rng = np.random.default_rng(0)
    picks = [drawn(space, rng) | {"resolution": side} for side in (160, 224) for _ in range(20)]
    return made_up(*map(space.decode, picks))


def written(path: Path, content: Mapping[str, object] | str) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(dict(content)))
    return path
