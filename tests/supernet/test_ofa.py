"""Once-for-All's file as a supernet, against its arithmetic written out in plain torch.

The file is one of random weights, with the names that the published one has.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import supernets  # noqa: E402

from nas.core.errors import BadFile, NasError  # noqa: E402
from nas.network.blocks import Architecture  # noqa: E402
from nas.space.file import load_space  # noqa: E402
from nas.supernet.find import is_supernet, load_supernet  # noqa: E402
from nas.supernet.scoring import Scorer  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.trained import network_of  # noqa: E402

pytestmark = pytest.mark.torch

TOLERANCE = 1e-4
"""Of the largest logit. These random weights give 1e11, so networks compute in double precision."""

WIDTHS = {
    "mobilenetv3": (16, 24, 40, 80, 112, 160, 960, 1280),
    "mobilenetv3_w12": (24, 32, 48, 96, 136, 192, 1152, 1536),
}
"""Of the stem, the five stages and the two wide layers behind them."""
STRIDES = (2, 2, 2, 1, 2)
RELU, SQUEEZES = (True, True, False, False, False), (False, True, False, True, True)
Tensors = dict[str, torch.Tensor]


def norm(name: str, width: int, draw: Callable[..., torch.Tensor]) -> Tensors:
    return {
        f"{name}.weight": draw(width) + 1,
        f"{name}.bias": draw(width),
        f"{name}.running_mean": draw(width),
        f"{name}.running_var": draw(width).abs() + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def published(space: str = "mobilenetv3") -> Tensors:
    """Return tensors with the names and shapes of the published file."""
    widths = WIDTHS[space]
    first, last, wide_last, features = widths[0], *widths[-3:]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    found = {"first_conv.conv.weight": draw(first, 3, 3, 3)} | norm("first_conv.bn", first, draw)
    start = "blocks.0.mobile_inverted_conv"
    found |= {
        f"{start}.depth_conv.conv.weight": draw(first, 1, 3, 3),
        f"{start}.point_linear.conv.weight": draw(first, first, 1, 1),
    }
    found |= norm(f"{start}.depth_conv.bn", first, draw)
    found |= norm(f"{start}.point_linear.bn", first, draw)
    for number in range(20):
        stage, layer = divmod(number, 4)
        out = widths[stage + 1]
        inputs = out if layer else widths[stage]
        wide, block = 6 * inputs, f"blocks.{number + 1}.mobile_inverted_conv"
        found |= {
            f"{block}.inverted_bottleneck.conv.conv.weight": draw(wide, inputs, 1, 1),
            f"{block}.depth_conv.conv.conv.weight": draw(wide, 1, 7, 7),
            f"{block}.depth_conv.conv.7to5_matrix": torch.eye(25) + draw(25, 25),
            f"{block}.depth_conv.conv.5to3_matrix": torch.eye(9) + draw(9, 9),
            f"{block}.point_linear.conv.conv.weight": draw(out, wide, 1, 1),
        }
        for part, width in (("inverted_bottleneck", wide), ("depth_conv", wide)):
            found |= norm(f"{block}.{part}.bn.bn", width, draw)
        found |= norm(f"{block}.point_linear.bn.bn", out, draw)
        if SQUEEZES[stage]:
            inner = eighths(wide // 4)
            found |= {
                f"{block}.depth_conv.se.fc.reduce.weight": draw(inner, wide, 1, 1),
                f"{block}.depth_conv.se.fc.reduce.bias": draw(inner),
                f"{block}.depth_conv.se.fc.expand.weight": draw(wide, inner, 1, 1),
                f"{block}.depth_conv.se.fc.expand.bias": draw(wide),
            }
    found |= {"final_expand_layer.conv.weight": draw(wide_last, last, 1, 1)}
    found |= norm("final_expand_layer.bn", wide_last, draw)
    found |= {
        "feature_mix_layer.conv.weight": draw(features, wide_last, 1, 1),
        "classifier.linear.weight": draw(1000, features),
        "classifier.linear.bias": draw(1000),
    }
    return found


def eighths(width: float) -> int:
    """Return a multiple of 8 that is at most a tenth below `width`."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class Plain:
    """The forward pass of a subnet, layer by layer."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        width, get = x.shape[1], self.tensors.get
        mean, variance, scale, shift = (
            get(f"{name}.{part}")[:width][None, :, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def filters(self, name: str, channels: int, kernel: int) -> torch.Tensor:
        weight = self.tensors[f"{name}.conv.weight"][:channels]
        for size, matrix in ((5, "7to5_matrix"), (3, "5to3_matrix")):
            if kernel > size:
                break
            centre = weight[:, :, 1:-1, 1:-1].reshape(channels, size * size)
            rows = self.tensors[f"{name}.{matrix}"]
            made = torch.stack([(rows @ pixels) for pixels in centre])
            weight = made.reshape(channels, 1, size, size)
        return weight

    def gate(self, x: torch.Tensor, name: str) -> torch.Tensor:
        width = x.shape[1]
        inner = eighths(width // 4)
        get = self.tensors.get
        pooled = x.mean((2, 3))
        hidden = pooled @ get(f"{name}.reduce.weight")[:inner, :width, 0, 0].T
        hidden = (hidden + get(f"{name}.reduce.bias")[:inner]).clamp_min(0)
        out = hidden @ get(f"{name}.expand.weight")[:width, :inner, 0, 0].T
        out = out + get(f"{name}.expand.bias")[:width]
        return x * ((out + 3).clamp(0, 6) / 6)[:, :, None, None]

    def block(
        self, x: torch.Tensor, number: int, expansion: int, kernel: int, stride: int
    ) -> torch.Tensor:
        stage = (number - 1) // 4
        act = torch.relu if RELU[stage] else hard_swish
        name, wide = f"blocks.{number}.mobile_inverted_conv", x.shape[1] * expansion
        expand = self.tensors[f"{name}.inverted_bottleneck.conv.conv.weight"]
        y = torch.einsum("oi,bihw->bohw", expand[:wide, : x.shape[1], 0, 0], x)
        y = act(self.norm(y, f"{name}.inverted_bottleneck.bn.bn"))
        filters = self.filters(f"{name}.depth_conv.conv", wide, kernel)
        y = torch.conv2d(y, filters, None, stride, kernel // 2, 1, wide)
        y = act(self.norm(y, f"{name}.depth_conv.bn.bn"))
        if SQUEEZES[stage]:
            y = self.gate(y, f"{name}.depth_conv.se.fc")
        project = self.tensors[f"{name}.point_linear.conv.conv.weight"]
        y = torch.einsum("oi,bihw->bohw", project[:, :wide, 0, 0], y)
        y = self.norm(y, f"{name}.point_linear.bn.bn")
        return x + y if y.shape == x.shape and stride == 1 else y

    def __call__(self, x: torch.Tensor, picks: dict[str, object]) -> torch.Tensor:
        get = self.tensors.get
        x = torch.conv2d(x, get("first_conv.conv.weight"), None, 2, 1)
        x = hard_swish(self.norm(x, "first_conv.bn"))
        start = "blocks.0.mobile_inverted_conv"
        y = torch.conv2d(x, get(f"{start}.depth_conv.conv.weight"), None, 1, 1, 1, x.shape[1])
        y = torch.relu(self.norm(y, f"{start}.depth_conv.bn"))
        y = torch.conv2d(y, get(f"{start}.point_linear.conv.weight"))
        x = x + self.norm(y, f"{start}.point_linear.bn")
        for stage in range(5):
            for layer in range(int(picks[f"stage{stage + 1}_layers"])):
                at = f"stage{stage + 1}_layer{layer + 1}"
                how = int(picks[f"{at}_expansion"]), int(picks[f"{at}_kernel"])
                x = self.block(x, 1 + 4 * stage + layer, *how, 1 if layer else STRIDES[stage])
        x = torch.conv2d(x, get("final_expand_layer.conv.weight"))
        x = hard_swish(self.norm(x, "final_expand_layer.bn")).mean((2, 3))
        x = hard_swish(x @ get("feature_mix_layer.conv.weight")[:, :, 0, 0].T)
        return x @ get("classifier.linear.weight").T + get("classifier.linear.bias")


def hard_swish(x: torch.Tensor) -> torch.Tensor:
    return x * (x + 3).clamp(0, 6) / 6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ofa") / "ofa_mbv3.pth"
    torch.save({"state_dict": published()}, path)
    return path


def doubled(tensors: Tensors) -> Tensors:
    return {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}


def networks(count: int, name: str = "mobilenetv3") -> list[tuple[dict[str, object], Architecture]]:
    space = load_space(name)
    rows = space.sample_matrix(np.random.default_rng(3), count)
    return [(dict(space.unpack(row)), space.decode_row(row)) for row in rows]


def test_five_subnets_give_what_plain_torch_gives(path: Path) -> None:
    found, plain = load_supernet(f"ofa:{path}"), Plain(doubled(published()))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for picks, arch in networks(5):
        with torch.no_grad():
            own = network_of(found.subnet(arch)).double()(images.double())
            wanted = plain(images.double(), picks)
        assert (own - wanted).abs().max() < TOLERANCE * wanted.abs().max()


def test_subnets_of_the_wider_one_give_what_plain_torch_gives(tmp_path: Path) -> None:
    tensors, path = published("mobilenetv3_w12"), tmp_path / "wider.pth"
    torch.save({"state_dict": tensors}, path)
    found, plain = load_supernet(f"ofa:{path}"), Plain(doubled(tensors))
    assert found.space.name == "mobilenetv3_w12"
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for picks, arch in networks(2, found.space.name):
        with torch.no_grad():
            own = network_of(found.subnet(arch)).double()(images.double())
            wanted = plain(images.double(), picks)
        assert (own - wanted).abs().max() < TOLERANCE * wanted.abs().max()


def test_it_brings_its_conventions(path: Path) -> None:
    found = load_supernet(f"ofa:{path}")
    own = found.subnet(networks(1)[0][1])
    assert is_supernet(f"ofa:{path}")
    assert found.source == f"ofa:{path}"
    assert own.arch.norm_epsilon == 1e-5
    assert own.data.mean == (0.485, 0.456, 0.406)
    assert not own.named
    assert own.arch.head[-1].out_channels == 1000


def test_names_of_later_versions_are_read(path: Path, tmp_path: Path) -> None:
    later = {
        name.replace(".mobile_inverted_conv.", ".conv.").replace(".bn.bn.", ".bn."): value
        for name, value in published().items()
    }
    torch.save(later, tmp_path / "later.pth")
    one, other = load_supernet(f"ofa:{path}"), load_supernet(f"ofa:{tmp_path}/later.pth")
    assert all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("blocks.7.mobile_inverted_conv.depth_conv.conv.5to3_matrix"),
         "has no tensor blocks.7.depth_conv.conv.5to3_matrix; a supernet of space mobilenetv3"),
        (lambda t: t.update({"first_conv.conv.weight": torch.zeros(20, 3, 3, 3)}),
         "tensor first_conv.conv.weight has shape"),
        (lambda t: t["classifier.linear.bias"].fill_(float("nan")), "not finite"),
    ],
)  # fmt: skip
def test_other_files_are_refused(
    tmp_path: Path, change: Callable[[Tensors], object], said: str
) -> None:
    tensors = published()
    change(tensors)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(BadFile, match=said):
        load_supernet(f"ofa:{tmp_path}/other.pth")


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": Path("x")}, tmp_path / "code.pth")
    with pytest.raises(BadFile, match="wants to run code"):
        load_supernet(f"ofa:{tmp_path}/code.pth")
    with pytest.raises(NasError, match="there is no file"):
        load_supernet("ofa:nothing.pth")


def test_a_probe_answers_for_other_classes(path: Path) -> None:
    found, data = load_supernet(f"ofa:{path}"), load_data(supernets.DATA)
    with pytest.raises(NasError, match=",probe=true`"):
        Scorer(found, data)
    with pytest.raises(NasError, match="trained elsewhere"):
        found.trained_on()
    space = replace(found.space, resolutions=(32,))
    scorer = Scorer(replace(found, space=space), data, device="cpu", batch=32, probe=True)
    arch = space.decode_row(np.zeros(len(space.columns), np.uint8))
    assert 0 <= scorer.top1(arch) <= 1


@pytest.fixture
def hub(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the hub without network, with the file in one repository."""
    constants = pytest.importorskip("huggingface_hub.constants")
    model = tmp_path / "models--someone--ofa"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    (model / "snapshots" / ("0" * 40) / "nets").mkdir(parents=True)
    (model / "snapshots" / ("0" * 40) / "nets" / "w1.0").symlink_to(path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("hub")
def test_a_file_on_the_hub_is_taken_from_its_cache(path: Path) -> None:
    found, own = load_supernet("ofa:hf:someone/ofa/nets/w1.0"), load_supernet(f"ofa:{path}")
    assert all(np.array_equal(found.weights[name], own.weights[name]) for name in own.weights)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "someone/ofa/nets/w1.2",
            "someone/ofa.? is not cached.* fetch .?nets/w1.2.?, and give it as",
        ),
        ("someone/ofa", "is named ofa:hf:OWNER/REPOSITORY/FILE, not hf:someone/ofa"),
    ],
)
def test_what_the_hub_cannot_give_is_one_line(named: str, said: str) -> None:
    with pytest.raises(NasError, match=said):
        load_supernet(f"ofa:hf:{named}")
