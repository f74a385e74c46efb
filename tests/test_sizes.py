"""Sizes: no small file or flag can demand hours or gigabytes."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.accuracy.predictor import load_accuracy_model
from nas.core.errors import BadFile, BadValue, NasError
from nas.network.blocks import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS
from nas.network.multipliers import Multipliers, scale, scale_resolution
from nas.network.zoo import load_architecture
from nas.space.file import load_space

ARCH = """schema: 1
resolution: {resolution}
stem: [{{kind: conv, in_channels: 3, out_channels: {channels}, kernel: {kernel}, stride: 2}}]
stages: [{stages}]
head:
- {{kind: pool, in_channels: {channels}, out_channels: {channels}}}
- {{kind: linear, in_channels: {channels}, out_channels: 10}}
"""
BLOCK = "{kind: separable, in_channels: 8, out_channels: 8, kernel: 3}"
ARCH_DEFAULTS: dict[str, Any] = {"resolution": 32, "channels": 8, "kernel": 3, "stages": ""}
SPACE = """schema: 1
name: small
resolution: {resolution}
stem: [{{kind: conv, width: 8, kernel: 3, stride: 2}}]
stages:
{stages}
head: [{{kind: pool}}, {{kind: linear, width: 10}}]
"""
SPACE_DEFAULTS = {"resolution": "32", "stages": "- {layers: [1, 2], width: 8}"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"channels": "1" * 60},
            "line 3: stem.0.out_channels must be a whole number of at most 92",
        ),
        ({"kernel": 10**12 + 1}, "line 3: stem.0: block kernel must be 1,000 at most, not 100000"),
        ({"resolution": 10**12}, "line 2: resolution must be 10,000 at most, not 1000000000000"),
        ({"stages": f"[{', '.join([BLOCK] * 2_500)}]"}, "line 4: an architecture has at most 2,0"),
    ],
    ids=["channels", "kernel", "resolution", "blocks"],
)
def test_an_architecture_has_sizes_that_can_be(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(ARCH.format(**ARCH_DEFAULTS), encoding="utf-8")
    assert load_architecture(path).resolution == 32
    path.write_text(ARCH.format(**{**ARCH_DEFAULTS, **changed}), encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        load_architecture(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stages": "- {layers: [1, 2000000], width: 8}"}, "layers must be 100 at most, not 2000"),
        ({"stages": "- {layers: [1, 2], width: [8, 99999999999]}"}, "width must be 1,000,000 at"),
        ({"resolution": "[32, 1000000000000]"}, "resolution must be whole numbers from 32 to 10,0"),
        (
            {"stages": "- {layers: [1, 2], width: 8}\n" * 101},
            "stages has at most 100 rows, not 101",
        ),
        (
            {
                "stages": f"- {{width: {list(range(1, 255))}, expansion: {list(range(1, 255))}, "
                "kernel: [3, 5]}"
            },
            "stages.0, line 6: has 129,032 kinds of blocks",
        ),
    ],
    ids=["layers", "width", "resolution", "rows", "kinds"],
)
def test_a_space_has_sizes_that_can_be(
    changed: dict[str, str], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPACE.format(**SPACE_DEFAULTS), encoding="utf-8")
    assert len(load_space(path).columns) == 1
    path.write_text(SPACE.format(**{**SPACE_DEFAULTS, **changed}), encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        load_space(path)
    assert message in str(caught.value)


def test_a_model_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as archive, archive.open("header.npy", "w") as part:
        for _ in range(257):
            part.write(bytes(2**20))
    assert path.stat().st_size < 2 * 2**20
    with pytest.raises(BadFile, match="its unpacked content has more than 256 MiB"):
        load_accuracy_model(path)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (Multipliers(width=1e308), f"channels times 1e+308 are more than {MAX_CHANNELS:,}"),
        (Multipliers(depth=1e300), f"blocks times 1e+300 are more than {MAX_BLOCKS:,}"),
        (Multipliers(resolution=1e308), f"pixels times 1e+308 are more than {MAX_PIXELS:,}"),
    ],
)
def test_what_overflows_is_refused_before_it_is_computed(by: Multipliers, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        scale(load_architecture("mobilenet_v2"), by)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: load_architecture(f"mobilenet_v2@1.0-{'9' * 5000}"),
        lambda: load_architecture("mobilenet_v2@1.0-999999"),
        lambda: load_architecture(f"mobilenet_v2@{'9' * 5000}"),
        lambda: scale_resolution(load_architecture("mobilenet_v2"), 10**12),
    ],
)
def test_flags_have_the_same_limits(make: Callable[[], object]) -> None:
    with pytest.raises(NasError) as caught:
        make()
    assert len(str(caught.value)) <= 1000
