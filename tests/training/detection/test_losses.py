"""Losses and assignments of detectors against results by hand."""

from math import log
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nas.network.detector import Detector, Level, default_nms, priors  # noqa: E402
from nas.training.boxes import Boxes, Outputs  # noqa: E402
from nas.training.detection import ssd, yolo, yolov5  # noqa: E402
from nas.training.detection.coding import PriorTensors  # noqa: E402
from nas.training.detection.losses import DetectionLoss  # noqa: E402
from nas.training.detection.nms import postprocess  # noqa: E402
from nas.training.detection.overlap import ciou  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SIDE = 64
ANCHORS = ((0.25, 0.25), (0.5, 0.5))


def detector(coder: str, classes: int = 3) -> Detector:
    anchors = () if coder == "yolo" else ANCHORS
    levels = tuple(Level(boxes=f"b{i}", classes=f"c{i}", anchors=anchors) for i in range(2))
    return Detector(coder=coder, classes=classes, levels=levels, bins=8 if coder == "yolo" else 1)


def start_of(coder: str) -> PriorTensors:
    return PriorTensors.of(priors(detector(coder), [(8, 8), (4, 4)], SIDE))


def boxes(*images: list[tuple[int, float, float, float, float]]) -> Boxes:
    """Return the objects of images, each a label and corners."""
    most = max(map(len, images))
    corners, labels = torch.zeros(len(images), most, 4), torch.full((len(images), most), -1)
    for image, objects in enumerate(images):
        for place, (label, *sides) in enumerate(objects):
            corners[image, place], labels[image, place] = torch.tensor(sides), label
    return Boxes(corners, labels)


SCENE = boxes(
    [(0, 2, 3, 20, 18), (2, 30, 30, 62, 60)], [], [(1, 10, 40, 28, 60)]
)  # fmt: skip


def fresh(coder: str, batch: int = 3) -> Outputs:
    what, count = detector(coder), len(start_of(coder).strides)
    generator = torch.Generator().manual_seed(0)
    return Outputs(
        torch.randn(batch, count, what.numbers, generator=generator).mul_(0.1).requires_grad_(),
        torch.randn(batch, count, what.scores, generator=generator).sub_(2).requires_grad_(),
    )


def test_ssd_matches_by_overlap_and_gives_every_object_a_prior() -> None:
    start = PriorTensors(
        centres=torch.tensor([[8.0, 8.0], [24.0, 8.0], [8.0, 24.0]]),
        sizes=torch.full((3, 2), 16.0),
        strides=torch.full((3,), 16.0),
    )
    # the first object overlaps the first prior by 0.75; the second none by half, the third best
    scene = boxes([(0, 0, 0, 16, 12), (1, 2, 30, 6, 34)], [(1, 20, 0, 30, 3)])
    assert ssd.match(scene, start).tolist() == [[0, -1, 1], [-1, 0, -1]]


def test_ssd_matches_nothing_in_images_without_objects() -> None:
    assert (ssd.match(boxes([], []), start_of("ssd")) == -1).all()


def test_ssd_takes_the_hardest_negatives() -> None:
    losses = torch.tensor([[9.0, 1, 2, 3, 4, 5], [6.0, 5, 4, 3, 2, 1]])
    matched = torch.zeros(2, 6, dtype=torch.bool)
    matched[0, 0] = True
    chosen = ssd.hard_negatives(losses, matched)
    assert chosen.tolist() == [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]


def test_ssd_loss_is_that_of_the_matched_and_the_hardest() -> None:
    start = PriorTensors(
        centres=torch.arange(8)[:, None] * 16.0 + torch.tensor([8.0, 8.0]),
        sizes=torch.full((8, 2), 16.0),
        strides=torch.full((8,), 16.0),
    )
    scene = boxes([(1, 16, 16, 32, 32)])  # the second prior itself
    numbers = torch.zeros(1, 8, 4)
    numbers[0, 1] = torch.tensor([0.5, 0, 3, 0])
    numbers[0, 4] = 99  # of the background
    scores = torch.zeros(1, 8, 4)
    scores[0, 5, 2] = log(3)
    found = ssd.loss(detector("ssd"), Outputs(numbers, scores), scene, start)
    # smooth-L1 0.125 + 2.5, a matched prior and two negatives of log 4, a hard one of log 6
    assert found.item() == pytest.approx(2.625 + 3 * log(4) + log(6), abs=1e-5)


def test_yolo_points_lie_in_objects() -> None:
    start = start_of("yolo")
    inside = yolo.is_inside(
        boxes([(0, 0, 0, 16, 16), (0, 9, 9, 10, 10)], [(0, 0, 0, 64, 64)]), start
    )
    assert inside.sum(2).tolist() == [[5, 2], [80, 0]]
    assert inside[0, 0].nonzero()[:, 0].tolist() == [0, 1, 8, 9, 64]


def test_yolo_assigns_by_score_and_overlap() -> None:
    start = start_of("yolo")
    scene = boxes([(1, 0, 0, 16, 16)])
    predicted = torch.zeros(1, 80, 4)
    predicted[0, :2] = torch.tensor([[0.0, 0, 16, 16], [0, 0, 16, 8]])
    shares = torch.full((1, 80, 3), 0.25)
    found = yolo.assign(shares, predicted, scene, start)
    assert found.objects[0].nonzero()[:, 0].numel() == 75, "the others find the background"
    weights = found.weights[0]
    # the best learns its IoU, the other 0.5^6 of that
    torch.testing.assert_close(weights[:2], torch.tensor([1.0, 0.5**6]))
    assert weights[2:].abs().max() == 0
    shares[0, 0, 1] = 0.01
    torch.testing.assert_close(
        yolo.assign(shares, predicted, scene, start).weights[0, :2],
        torch.tensor([1.0, 0.5**6 * 5]),
    )


def test_yolo_gives_a_point_in_two_objects_to_the_one_it_overlaps_more() -> None:
    start = start_of("yolo")
    scene = boxes([(1, 0, 0, 40, 40), (2, 0, 0, 16, 16)])
    predicted = torch.tensor([0.0, 0, 16, 18]).expand(1, 80, 4)
    found = yolo.assign(torch.full((1, 80, 3), 0.5), predicted, scene, start)
    assert found.objects[0, [0, 1, 8, 9, 64]].tolist() == [1] * 5
    assert (found.objects[0] == 0).sum() <= 10


def test_distances_are_learned_as_distributions() -> None:
    numbers = torch.zeros(1, 4 * 4)
    assert yolo.distribution(numbers, torch.full((1, 4), 1.5)).item() == pytest.approx(log(4))
    numbers = numbers.unflatten(1, (4, 4)).clone()
    numbers[0, :, 1] = log(3)
    found = yolo.distribution(numbers.flatten(1), torch.full((1, 4), 1.25))
    assert found.item() == pytest.approx(0.75 * log(2) + 0.25 * log(6))
    assert torch.isfinite(yolo.distribution(numbers.flatten(1), torch.full((1, 4), 99.0))).all()


def test_yolo_loss_of_one_prediction() -> None:
    start = PriorTensors(torch.tensor([[8.0, 8.0]]), torch.full((1, 2), 8.0), torch.tensor([8.0]))
    numbers = torch.full((1, 1, 4, 8), -1e4)
    numbers[..., 1] = numbers[..., 2] = 0  # 12 pixels to each side
    scene = boxes([(2, -4, -4, 20, 20)])
    scores = torch.zeros(1, 1, 3)
    found = yolo.loss(detector("yolo"), Outputs(numbers.flatten(2), scores), scene, start)
    # the box is right: IoU 1 is what its class learns; bins 1 and 2 have half each
    assert found.item() == pytest.approx(0.5 * 3 * log(2) + 1.5 * log(2), abs=1e-4)


def test_yolov5_matches_cells_and_neighbours_of_a_like_size() -> None:
    start = start_of("yolov5")
    matched = yolov5.match(boxes([(0, 10, 10, 26, 26)]), start)[0, 0]
    cells = {tuple(c) for c in start.centres[matched & (start.strides == 8)].tolist()}
    # the centre (18, 18) lies in the upper left part of the cell around (20, 20)
    assert cells == {(20, 20), (12, 20), (20, 12)}
    assert matched.sum() == 2 * 6, "both anchors, at both levels"
    thin = yolov5.match(boxes([(0, 10, 10, 26, 13)]), start)[0, 0]
    assert thin.sum() == 0, "16 / 3 is above 4"


def test_yolov5_learns_objects_by_their_overlap() -> None:
    what, start = detector("yolov5"), start_of("yolov5")
    numbers = torch.zeros(1, len(start.strides), 4)
    scores = torch.zeros(1, len(start.strides), 4)
    scene = boxes([(0, 10, 10, 26, 26)])
    matched = yolov5.match(scene, start)[0, 0]
    overlap = ciou(start.corners[matched], scene.corners[0])
    found = yolov5.loss(what, Outputs(numbers, scores), scene, start)
    wanted = 0.05 * (1 - overlap).mean() + 0.5 * 3 / 80 * log(2) + 0.1**2 * 5 * log(2)
    assert found.item() == pytest.approx(wanted.item(), abs=1e-5)


@pytest.mark.parametrize("coder", ["ssd", "yolo", "yolov5"])
def test_filled_up_rows_change_nothing(coder: str) -> None:
    loss = DetectionLoss(detector=detector(coder), priors=start_of(coder))
    given = fresh(coder)
    more = Boxes(
        torch.nn.functional.pad(SCENE.corners, (0, 0, 0, 3)),
        torch.nn.functional.pad(SCENE.labels, (0, 3), value=-1),
    )
    assert loss(given, SCENE).item() == loss(given, more).item()


@pytest.mark.parametrize("coder", ["ssd", "yolo", "yolov5"])
def test_images_without_objects_teach_the_background(coder: str) -> None:
    loss = DetectionLoss(detector=detector(coder), priors=start_of(coder))
    given = fresh(coder, batch=2)
    for scene in (boxes([], []), Boxes(torch.zeros(2, 2, 4), torch.full((2, 2), -1))):
        value = loss(given, scene)
        assert value > 0
        value.backward()
        assert all(torch.isfinite(part.grad).all() for part in given if part.grad is not None)
    assert given.scores.grad is not None
    objects = given.scores.grad[..., :1] if coder == "yolov5" else given.scores.grad
    assert objects.abs().sum() > 0


@pytest.mark.parametrize("coder", ["ssd", "yolo", "yolov5"])
def test_what_lowers_the_loss_finds_the_objects(coder: str) -> None:
    """Outputs optimised directly converge to the boxes of the scene."""
    what, start = detector(coder), start_of(coder)
    loss, given = DetectionLoss(detector=what, priors=start), fresh(coder)
    optimizer = torch.optim.Adam(list(given), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss(given, SCENE).backward()
        optimizer.step()
    found = postprocess(what, given, start, default_nms(what))
    for image, one in enumerate(found):
        sure = one.scores > 0.5
        wanted = {int(n): c for n, c in zip(SCENE.labels[image], SCENE.corners[image], strict=True)}
        wanted.pop(-1, None)
        assert sorted(one.labels[sure].tolist()) == sorted(wanted), image
        for label, corners in zip(one.labels[sure], one.corners[sure], strict=True):
            _close(corners, wanted[int(label)])


def _close(found: Any, wanted: Any) -> None:
    assert (found - wanted).abs().max() < 1.5, (found, wanted)


def test_ranks_are_counted_within_groups() -> None:
    values = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.7, 0.2])
    groups = torch.tensor([3, 3, 1, 1, 3, 1])
    assert yolo.ranks(values, groups).tolist() == [2, 0, 0, 1, 1, 2]
    assert yolo.ranks(values[:0], groups[:0]).tolist() == []
