"""A supernet computes the same as each network of its space alone."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nas.core.errors import NasError  # noqa: E402
from nas.models.build import weights_of  # noqa: E402
from nas.network.layers import Conv  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import check_weights, join  # noqa: E402
from nas.space.file import load_space  # noqa: E402
from nas.space.space import Space  # noqa: E402
from nas.supernet.layers import key_of, shared_layers  # noqa: E402
from nas.supernet.network import SharedNetwork, build_shared  # noqa: E402
from nas.supernet.sampling import largest  # noqa: E402
from nas.supernet.slicing import subnet_weights  # noqa: E402
from nas.training.task import for_classes  # noqa: E402
from nas.training.trained import with_weights  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = 5


def made(space: Space, *, transforms: bool = False) -> SharedNetwork:
    """Return a supernet of random weights and statistics, in evaluation mode."""
    network = build_shared(shared_layers(space, CLASSES), transforms=transforms, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point() and value.dim() == 1:
                value.normal_(0, 0.3, generator=generator)
            elif ".to" in name:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("transforms", [False, True])
@pytest.mark.parametrize("name", ["mobilenetv3", "mbconv_64", "mnasnet", "tiny"])
def test_each_network_gives_what_it_gives_alone(name: str, transforms: bool, tiny: Space) -> None:
    space = tiny if name == "tiny" else load_space(name)
    network = made(space, transforms=transforms)
    shared = weights_of(network)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for row in space.sample_matrix(np.random.default_rng(0), 4):
        arch = for_classes(space.decode_row(row), CLASSES)
        weights = subnet_weights(shared, arch)
        check_weights(lower(arch), weights)
        alone = with_weights(arch, {k: torch.from_numpy(v) for k, v in weights.items()})(images)
        together = network(images, arch)
        assert (alone - together).abs().max() < 1e-5 * alone.abs().max()


def test_every_row_of_a_space_has_its_weights(tiny: Space, all_rows: np.ndarray) -> None:
    shared = weights_of(made(tiny))
    for row in all_rows:
        arch = for_classes(tiny.decode_row(row), CLASSES)
        check_weights(lower(arch), subnet_weights(shared, arch))


def test_the_largest_network_has_its_weights_whole(tiny: Space) -> None:
    shared = weights_of(made(tiny))
    arch = for_classes(tiny.decode_row(largest(tiny)), CLASSES)
    found = subnet_weights(shared, arch)
    for unit in lower(arch):
        for layer in unit.layers:
            name, key = join(unit.name, layer.name, "weight"), join(key_of(unit, layer), "weight")
            assert name not in found or np.array_equal(found[name], shared[key])


def test_smaller_kernels_are_centres_and_pass_gradients_on(tiny: Space) -> None:
    network = made(tiny).train()
    picks = tiny.unpack(largest(tiny))
    small = tiny.decode({**picks, "stage1_kernel": 3})
    network(torch.randn(4, 3, 32, 32), for_classes(small, CLASSES)).sum().backward()
    grad = network.get_submodule("stages.0.0.mbconv.depthwise").weight.grad
    assert grad[:, :, 1:4, 1:4].abs().sum() > 0
    grad[:, :, 1:4, 1:4] = 0
    assert grad.abs().sum() == 0


def test_a_transform_makes_the_smaller_kernel(tiny: Space) -> None:
    shared = weights_of(made(tiny, transforms=True))
    picks = tiny.unpack(largest(tiny))
    arch = for_classes(tiny.decode({**picks, "stage1_kernel": 3}), CLASSES)
    key = "stages.0.0.mbconv.depthwise"
    centre = shared[f"{key}.weight"][:, 0, 1:4, 1:4].reshape(-1, 9)
    found = subnet_weights(shared, arch)["stages.0.0.depthwise.weight"]
    wanted = centre[: len(found)] @ shared[f"{key}.to3"]
    assert np.allclose(found.reshape(-1, 9), wanted, atol=1e-6)


def test_transforms_are_the_identity_at_first(tiny: Space) -> None:
    plain, with_matrices = (
        weights_of(build_shared(shared_layers(tiny, 2), transforms=t, seed=3)) for t in (0, 1)
    )
    arch = for_classes(tiny.decode_row(np.zeros(len(tiny.columns), np.uint8)), 2)
    one, other = subnet_weights(plain, arch), subnet_weights(with_matrices, arch)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_network_that_is_too_large_is_refused(tiny: Space) -> None:
    arch = for_classes(tiny.decode_row(largest(tiny)), CLASSES)
    more = for_classes(arch, CLASSES + 1)
    with pytest.raises(NasError, match="5x24 where the network needs weight of 6x24"):
        subnet_weights(weights_of(made(tiny)), more)


def test_only_the_leading_network_changes_the_running_statistics(tiny: Space) -> None:
    network = made(tiny).train()
    arch = for_classes(tiny.decode_row(largest(tiny)), CLASSES)
    before = {k: v.clone() for k, v in network.named_buffers()}
    network(torch.randn(4, 3, 32, 32), arch)
    assert all(torch.equal(v, before[k]) for k, v in network.named_buffers())
    network(torch.randn(4, 3, 32, 32), arch, leads=True)
    units = [u for u in lower(arch) if any(isinstance(layer, Conv) for layer in u.layers)]
    changed = [k for k, v in network.named_buffers() if not torch.equal(v, before[k])]
    assert len(changed) >= 2 * len(units)
