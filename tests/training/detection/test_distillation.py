"""A detector learns from a teacher where that is sure of objects, and nothing from an equal one."""

from dataclasses import replace
from math import log

import pytest

torch = pytest.importorskip("torch")

from detectors import tiny_detector  # noqa: E402

from nas.core.errors import NasError  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.detector import Detector, Level  # noqa: E402
from nas.network.lowering import priors_of  # noqa: E402
from nas.training.boxes import Outputs  # noqa: E402
from nas.training.detection.coding import PriorTensors, decode, probabilities  # noqa: E402
from nas.training.detection.distillation import (  # noqa: E402
    DetectionDistillation,
    sigmoid_divergence,
    softmax_divergence,
)
from nas.training.tasks.find import task_of  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

CODERS = ("ssd", "yolo", "yolov5")


def loss_of(arch: Architecture, temperature: float = 2.0) -> DetectionDistillation:
    detector, start = arch.detector, PriorTensors.of(priors_of(arch))
    assert detector is not None
    return DetectionDistillation(detector=detector, priors=start, temperature=temperature)


def drawn(arch: Architecture, seed: int) -> Outputs:
    """Return random outputs for two images."""
    detector, count = arch.detector, len(priors_of(arch))
    assert detector is not None
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(2, count, detector.numbers, generator=generator)
    scores = 2 * torch.randn(2, count, detector.scores, generator=generator)
    return Outputs(numbers, scores)


def test_divergences_by_hand() -> None:
    ours, theirs = torch.zeros(1, 2), torch.tensor([[2 * log(3), 0.0]])
    divergence = 0.75 * log(1.5) + 0.25 * log(0.5)  # of (3/4, 1/4) from (1/2, 1/2)
    assert softmax_divergence(ours, theirs, 2.0).item() == pytest.approx(4 * divergence)
    assert sigmoid_divergence(ours, theirs, 2.0).item() == pytest.approx(4 * divergence)


@pytest.mark.parametrize("coder", CODERS)
def test_equal_outputs_teach_nothing(coder: str) -> None:
    arch = tiny_detector(coder)
    taught = drawn(arch, 0)
    ours = Outputs(*(part.clone().requires_grad_() for part in taught))
    loss = loss_of(arch)(ours, taught)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    for part in ours:
        assert part.grad is not None
        assert part.grad.abs().max() < 1e-6
    assert loss_of(arch)(drawn(arch, 1), taught) > 0.1


@pytest.mark.parametrize("coder", CODERS)
def test_the_gradient_leads_to_the_teacher(coder: str) -> None:
    arch = tiny_detector(coder)
    detector, start = arch.detector, PriorTensors.of(priors_of(arch))
    assert detector is not None
    taught, loss = drawn(arch, 0), loss_of(arch)
    ours = Outputs(*(part.requires_grad_() for part in drawn(arch, 1)))
    optimizer = torch.optim.Adam(list(ours), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss(ours, taught).backward()
        optimizer.step()
    apart = decode(coder, ours.boxes.detach(), start) - decode(coder, taught.boxes, start)
    sure = probabilities(coder, taught.scores).amax(-1) > 0.5
    assert sure.sum() > 20
    assert apart[sure].abs().max() < 1.5
    shares = [probabilities(coder, one.scores.detach())[sure] for one in (ours, taught)]
    assert (shares[0] - shares[1]).abs().max() < 0.05


@pytest.mark.parametrize("coder", CODERS)
def test_predictions_count_by_how_sure_the_teacher_is(coder: str) -> None:
    """Errors where the teacher sees no object change next to nothing."""
    arch = tiny_detector(coder)
    taught = drawn(arch, 0)
    taught.scores.fill_(-9)
    if coder == "ssd":
        taught.scores[..., 0] = 9
    taught.scores[0, :3, 1] = 20
    if coder == "yolov5":
        taught.scores[0, :3, 0] = 9
    wrong = Outputs(*(part.clone() for part in taught))
    wrong.boxes[:, 3:] += 1
    wrong.scores[:, 3:] += torch.randn(wrong.scores[:, 3:].shape)
    right = Outputs(*(part.clone() for part in taught))
    right.boxes[0, 0] += torch.linspace(0, 1, right.boxes.shape[-1])
    loss = loss_of(arch)
    assert loss(wrong, taught) < 0.1 * loss(right, taught)


def test_wrong_teachers_are_refused() -> None:
    def refused(student: Architecture, teacher: Architecture, match: str) -> None:
        with pytest.raises(NasError, match=match):
            task_of(student).check_teacher(teacher)

    own = tiny_detector()
    task_of(own).check_teacher(replace(own, name="other"))
    refused(own, tiny_detector("yolov5"), "coder is yolov5, the detector's ssd; a detector learns")
    refused(own, tiny_detector(classes=2), "number of classes is 2, the detector's 3")
    refused(own, tiny_detector(side=32), "resolution is 32, the detector's 64")
    refused(own, _with(own, anchors=2), "number of predictions is 160, the detector's 240")
    refused(own, _with(own, times=1.5), "anchors are others than the detector's")
    yolo = tiny_detector("yolo")
    assert yolo.detector is not None
    more = _fit(yolo, replace(yolo.detector, bins=16))
    refused(yolo, more, "number of bins is 16, the detector's 8")
    classifier = Architecture(
        resolution=8,
        stem=(Block(kind="conv", in_channels=3, out_channels=4, kernel=3, stride=2),),
        stages=((Block(kind="conv", in_channels=4, out_channels=8, kernel=3),),),
        head=(
            Block(kind="pool", in_channels=8, out_channels=8),
            Block(kind="linear", in_channels=8, out_channels=3, act="none"),
        ),
    )
    refused(own, classifier, "the teacher is a classifier; a detector learns from a detector")
    refused(classifier, own, "the teacher is a detector; a classifier learns from a classifier")


def _with(arch: Architecture, *, anchors: int = 3, times: float = 1) -> Architecture:
    """Return `arch` with fewer anchors, or larger ones."""
    detector = arch.detector
    assert detector is not None
    levels = tuple(
        Level(
            boxes=level.boxes,
            classes=level.classes,
            anchors=tuple((w * times, h * times) for w, h in level.anchors[:anchors]),
        )
        for level in detector.levels
    )
    return _fit(arch, Detector(coder="ssd", classes=3, levels=levels))


def _fit(arch: Architecture, detector: Detector) -> Architecture:
    """Return `arch` with the outputs of another detector."""
    wanted = detector.outputs
    head = tuple(
        replace(block, out_channels=wanted[f"head.{at}"]) for at, block in enumerate(arch.head)
    )
    return replace(arch, head=head, detector=detector)
