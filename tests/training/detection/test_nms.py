"""Non-maximum suppression against the textbook's loop, and the outputs that are kept."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nas.network.detector import Detector, Level, NmsSettings, default_nms  # noqa: E402
from nas.training.boxes import Outputs  # noqa: E402
from nas.training.detection.coding import PriorTensors  # noqa: E402
from nas.training.detection.nms import batched_nms, postprocess  # noqa: E402
from nas.training.detection.overlap import pairwise_iou  # noqa: E402

pytestmark = pytest.mark.torch

YOLO = Detector(coder="yolo", classes=2, levels=(Level(boxes="a", classes="b"),), bins=4)
SSD = Detector(
    coder="ssd", classes=2, levels=(Level(boxes="a", classes="b", anchors=((0.1, 0.1),)),)
)


def greedy(corners: Any, labels: Any, overlap: float) -> list[int]:
    kept: list[int] = []
    table = pairwise_iou(corners, corners)
    for row in range(len(corners)):
        if all(labels[row] != labels[k] or table[k, row] <= overlap for k in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("block", [7, 256])
def test_it_keeps_what_a_loop_over_boxes_keeps(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.training.detection.nms._BLOCK", block)
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(120, 2, generator=generator) * 40
    corners = torch.cat([low, low + 5 + torch.rand(120, 2, generator=generator) * 20], 1)
    labels = torch.randint(3, (120,), generator=generator)
    wanted = greedy(corners, labels, 0.4)
    assert 10 < len(wanted) < 110
    assert batched_nms(corners, labels, overlap=0.4, most=120).tolist() == wanted
    assert batched_nms(corners, labels, overlap=0.4, most=9).tolist() == wanted[:9]


def test_a_dropped_box_drops_none() -> None:
    chain = torch.tensor([[float(x), 0, x + 10, 10] for x in (0, 4, 8, 12)])
    same = torch.zeros(4, dtype=torch.int64)
    assert batched_nms(chain, same, overlap=0.4, most=9).tolist() == [0, 2]
    assert batched_nms(chain, torch.arange(4), overlap=0.4, most=9).tolist() == [0, 1, 2, 3]
    assert batched_nms(chain[:0], same[:0], overlap=0.4, most=9).tolist() == []


def outputs(scores: list[list[float]]) -> tuple[Outputs, PriorTensors]:
    """Return yolo outputs whose boxes are 24 pixels wide, around points that are 32 apart."""
    count = len(scores)
    numbers = torch.full((1, count, 4, 4), -1e4)
    numbers[..., 1] = 0  # one stride to each side
    numbers[..., 2] = 0
    start = PriorTensors(
        centres=torch.arange(count)[:, None] * torch.tensor([32.0, 0.0]) + 16,
        sizes=torch.full((count, 2), 8.0),
        strides=torch.full((count,), 8.0),
    )
    return Outputs(numbers.flatten(2), torch.logit(torch.tensor([scores]))), start


def test_boxes_are_found_best_first_and_up_to_a_limit() -> None:
    given, start = outputs([[0.2, 0.9], [0.05, 0.0001], [0.5, 0.0001]])
    (found,) = postprocess(YOLO, given, start, NmsSettings(score=0.1))
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.5, 0.2]))
    assert found.labels.tolist() == [1, 0, 0]
    torch.testing.assert_close(found.corners[1], torch.tensor([68.0, 4, 92, 28]))
    (two,) = postprocess(YOLO, given, start, NmsSettings(score=0.1, most=2))
    assert two.labels.tolist() == [1, 0]
    (none,) = postprocess(YOLO, given, start, NmsSettings(score=0.95))
    assert len(none.scores) == 0


def test_limits_follow_the_coder() -> None:
    assert (default_nms(SSD).most, default_nms(YOLO).most) == (100, 300)
