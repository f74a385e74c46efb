"""The networks trained in a step of a supernet."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import supernets  # noqa: E402

from nas.core.errors import BadValue  # noqa: E402
from nas.network.cost import cost  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.space.file import load_space  # noqa: E402
from nas.space.space import Space  # noqa: E402
from nas.supernet.sampling import largest, sample_subnets, smallest  # noqa: E402
from nas.supernet.sandwich import SandwichTraining, Sharing  # noqa: E402
from nas.training.losses import cross_entropy  # noqa: E402

pytestmark = pytest.mark.torch


def training(**sharing: object) -> SandwichTraining:
    found = supernets.job(sharing=Sharing(**sharing)).shared
    assert isinstance(found, SandwichTraining)
    return found


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, 32, 32, generator=generator), torch.tensor([0, 1, 0, 1, 1, 0])


def test_the_ends_of_a_space_cost_most_and_least(tiny: Space, all_rows: np.ndarray) -> None:
    macs = [cost(arch).macs for arch in tiny.decode_rows(all_rows)]
    ends = tiny.decode_rows(np.stack([largest(tiny), smallest(tiny)]))
    assert [cost(arch).macs for arch in ends] == [max(macs), min(macs)]


def test_the_ends_have_the_largest_and_smallest_values() -> None:
    space = load_space("mobilenetv3")
    most, least = (space.unpack(end(space)) for end in (largest, smallest))
    assert {most["resolution"], most["stage1_layers"], most["stage5_layer4_kernel"]} == {224, 4, 7}
    assert {least["resolution"], least["stage1_layers"]} == {160, 2}
    assert least["stage5_layer2_expansion"] == 3


def test_random_networks_come_from_the_pool(tiny: Space) -> None:
    pool = tiny.sample_matrix(np.random.default_rng(5), 3)
    rows = sample_subnets(tiny, 20, np.random.default_rng(0), pool)
    assert {row.tobytes() for row in rows} <= {row.tobytes() for row in pool}


def test_a_step_has_a_loss_for_each_network_and_their_mean() -> None:
    taught = training(random=2)
    model = taught.build(0)
    torch.manual_seed(1)
    assert len(list(taught.losses(model, batch(), cross_entropy))) == 4
    alone = training(random=3, sandwich=False)
    torch.manual_seed(1)
    assert len(list(alone.losses(model, batch(), cross_entropy))) == 3


def test_the_largest_learns_labels_and_the_smallest_from_it() -> None:
    taught = training(random=0)
    model = taught.build(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images, labels = batch()
    first, second = (
        loss.detach() for loss in taught.losses(model, (images, labels), cross_entropy)
    )
    with torch.no_grad():
        teacher = model(images, taught.largest)
        pupil = model(images, taught.smallest)
    assert first == pytest.approx(
        float(torch.nn.functional.cross_entropy(teacher, labels)) / 2, rel=1e-4
    )
    soft = -(teacher.softmax(1) * pupil.log_softmax(1)).sum(1).mean()
    assert second == pytest.approx(float(soft) / 2, rel=1e-4)


def test_nothing_flows_back_into_the_teacher() -> None:
    taught = training(random=0)
    model = taught.build(0)
    _, second = taught.losses(model, batch(), cross_entropy)
    second.backward()
    unused = model.get_submodule("stages.0.1.mbconv.project").weight.grad
    assert unused is None


def test_without_distillation_all_learn_labels() -> None:
    alone = training(random=0, distil=False)
    model = alone.build(0)
    images, labels = batch()
    _, second = alone.losses(model, (images, labels), cross_entropy)
    with torch.no_grad():
        own = torch.nn.functional.cross_entropy(model(images, alone.smallest), labels)
    assert float(second.detach()) == pytest.approx(float(own) / 2, rel=1e-4)


def test_the_networks_of_a_step_follow_torchs_generator() -> None:
    taught = training(random=4)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append([arch.fingerprint for arch in taught.others()])
    assert found[0] == found[1] != found[2]


def test_residual_branches_add_nothing_at_first() -> None:
    taught = training()
    model = taught.build(0).eval()
    shared = [unit for unit in lower(taught.largest) if unit.shortcut != "none"]
    assert shared
    for unit in shared:
        assert not model.get_submodule(f"{unit.name}.mbconv.project").norm.weight.any()


def test_a_score_is_the_mean_of_four_networks() -> None:
    job = supernets.job()
    taught = job.shared
    assert taught is not None
    job = replace(job, options=replace(job.options, device="cpu"))
    found = taught.score(taught.build(0), job.validation)
    assert set(found.metrics) == {"top1", "top1_largest", "top1_smallest"}
    assert found.value == found.metrics["top1"]
    assert found.images == len(job.data.val)


@pytest.mark.parametrize(
    "wrong", [{"kernel": "middle"}, {"random": -1}, {"random": 0, "sandwich": False}]
)
def test_settings_out_of_their_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadValue):
        Sharing(**wrong)
