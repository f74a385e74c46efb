"""Coders against results by hand."""

from math import log

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nas.network.detector import Detector, Level, priors  # noqa: E402
from nas.training.detection.coding import (  # noqa: E402
    PriorTensors,
    decode,
    encode_ssd,
    encode_yolo,
    probabilities,
)

pytestmark = pytest.mark.torch

START = PriorTensors(
    centres=torch.tensor([[20.0, 40.0], [8.0, 8.0]]),
    sizes=torch.tensor([[10.0, 20.0], [16.0, 16.0]]),
    strides=torch.tensor([8.0, 16.0]),
)


def test_ssd_moves_by_tenths_and_grows_exponentially() -> None:
    numbers = torch.tensor([[[1.0, -2.0, 5 * log(2), 0.0], [0.0, 0.0, 0.0, 0.0]]])
    found = decode("ssd", numbers, START)
    # the centre is at 20 + 0.1 * 10 and 40 - 0.2 * 20; the width 10 * 2
    torch.testing.assert_close(found, torch.tensor([[[11.0, 26, 31, 46], [0, 0, 16, 16]]]))


def test_ssd_stays_finite() -> None:
    assert torch.isfinite(decode("ssd", torch.full((1, 2, 4), 1e4), START)).all()


def test_encoding_turns_ssd_back() -> None:
    boxes = torch.tensor([[[3.0, 5, 30, 80], [0, 1, 2, 9]]])
    torch.testing.assert_close(decode("ssd", encode_ssd(boxes, START), START), boxes)


def test_yolo_takes_means_of_distances_in_strides() -> None:
    numbers = torch.full((1, 2, 4, 4), -1e4)
    for side, at in enumerate((0, 1, 2, 3)):
        numbers[0, :, side, at] = 0
    numbers[0, 1, 0, 2] = 0  # the left side lies at 0 or 2 with equal odds
    found = decode("yolo", numbers.flatten(2), START)
    wanted = [[[20.0, 32, 36, 64], [-8, -8, 40, 56]]]
    torch.testing.assert_close(found, torch.tensor(wanted))
    torch.testing.assert_close(
        encode_yolo(found, START), torch.tensor([[[0.0, 1, 2, 3], [1, 1, 2, 3]]])
    )


def test_yolov5_moves_by_a_cell_and_grows_fourfold_at_most() -> None:
    numbers = torch.tensor([[[0.0, 0, 0, 0], [50.0, -50, 50, -50]]])
    found = decode("yolov5", numbers, START)
    # (2 * 1 - 0.5 + 0) * 16 = 24 and (0 - 0.5 + 0) * 16 = -8; 4 * 16 wide
    torch.testing.assert_close(found, torch.tensor([[[15.0, 30, 25, 50], [-8, -8, 56, -8]]]))


def test_probabilities() -> None:
    scores = torch.tensor([[[0.0, log(2), log(5)]]])
    torch.testing.assert_close(probabilities("ssd", scores), torch.tensor([[[0.25, 0.625]]]))
    torch.testing.assert_close(probabilities("yolo", scores), torch.tensor([[[0.5, 2 / 3, 5 / 6]]]))
    torch.testing.assert_close(probabilities("yolov5", scores), torch.tensor([[[1 / 3, 5 / 12]]]))


def test_priors_become_tensors() -> None:
    detector = Detector(coder="yolo", classes=2, levels=(Level(boxes="a", classes="b"),), bins=4)
    found = priors(detector, [(2, 2)], 32)
    start = PriorTensors.of(found)
    np.testing.assert_array_equal(start.corners.numpy(), found.corners)
    assert start.strides.tolist() == [16] * 4
