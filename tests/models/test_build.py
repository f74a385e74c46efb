"""The torch model: names, counts, initialisation, and agreement with ONNX and fvcore."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from torch import nn  # noqa: E402, TID253  # skipped above where there is no torch
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402, TID253  # the same
from zoo import EVERY, VARIED  # noqa: E402

from nas.exporting.onnx import to_onnx  # noqa: E402
from nas.models.build import (  # noqa: E402
    NORM_MOMENTUM,
    Network,
    build_model,
    drop_connect_rates,
    drop_samples,
    weights_of,
)
from nas.network.blocks import ACTS, GATES, Architecture, Block  # noqa: E402
from nas.network.cost import cost  # noqa: E402
from nas.network.lowering import kind_of, kinds_of_blocks, lower  # noqa: E402
from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.network.weights import random_weights, weight_shapes  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

TOLERANCE = 1e-4
"""Of the largest logit, which is of order 1."""


def small(*stage: Block, act: str = "relu", **changes: Any) -> Architecture:
    """Wrap `stage` in a stem of 8 channels and a head with 5 classes."""
    width = stage[-1].out_channels if stage else 8
    return Architecture(
        **{
            "resolution": 15,
            "stem": (Block(kind="conv", in_channels=3, out_channels=8, kernel=3, act=act),),
            "stages": (stage,),
            "head": (Block(kind="pool", in_channels=width, out_channels=width),
                     Block(kind="linear", in_channels=width, out_channels=5, act="none")),
            **changes,
        }
    )  # fmt: skip


def mbconv(**changes: Any) -> Block:
    fields = {"in_channels": 8, "out_channels": 8, "hidden_channels": 24, "kernel": 3}
    return Block(**{"kind": "mbconv", **fields, **changes})


def calibrated(arch: Architecture, images: Any, *, extra: float) -> Any:
    """Build `arch` with random weights, and with the statistics of `images`.

    Normalised by its own statistics a network of any depth gives outputs of order 1 that depend
    on the image, and no statistic is trivial. `extra` is added to every variance: without it,
    sixty layers magnify rounding a thousandfold, in torch and onnxruntime alike.
    """
    model = build_model(arch)
    weights = random_weights(lower(arch))
    model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
    norms = [module for module in model.eval().modules() if isinstance(module, nn.BatchNorm2d)]

    def take_statistics(norm: Any, inputs: tuple[Any, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance + extra)

    hooks = [norm.register_forward_pre_hook(take_statistics) for norm in norms]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return model


def outputs(arch: Architecture, *, extra: float = 0.0) -> tuple[Any, Any]:
    """Return the outputs of torch and onnxruntime for the same images and weights."""
    shape = (3, arch.input_channels, arch.resolution, arch.resolution)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    model = calibrated(arch, images, extra=extra)
    with torch.no_grad():
        ours = model(images).numpy()
    graph = to_onnx(arch, weights_of(model)).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return ours, session.run(["logits"], {"input": images.numpy()})[0]


def assert_agreement(arch: Architecture, *, extra: float = 0.0) -> None:
    ours, theirs = outputs(arch, extra=extra)
    size = np.abs(ours).max()
    assert 0.1 < size < 30
    assert np.abs(ours[0] - ours[1]).max() > 0.05 * size, "the outputs do not depend on the image"
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TOLERANCE * max(size, 1)


@pytest.mark.parametrize("name", VARIED)
def test_torch_and_onnx_agree_on_the_zoo(name: str) -> None:
    assert_agreement(scale_resolution(load_architecture(name), 72), extra=0.3)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0", "mobilenet_v1@0.25"])
def test_torch_and_onnx_agree_at_full_resolution(name: str) -> None:
    assert_agreement(load_architecture(name))


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("skip", ["identity", "pool", "none"])
@pytest.mark.parametrize("stride", [1, 2])
def test_torch_and_onnx_agree_on_every_option(act: str, gate: str, skip: str, stride: int) -> None:
    block = mbconv(act=act, se_act=act, gate=gate, skip=skip, stride=stride, se_channels=3)
    assert_agreement(small(block, replace(block, hidden_channels=8, stride=1, kernel=5), act=act))


@pytest.mark.parametrize(
    "kind", [k for k in kinds_of_blocks() if kind_of(k).in_spaces and k not in ("pool", "linear")]
)
@pytest.mark.parametrize("se_channels", [0, 4])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_torch_and_onnx_agree_on_every_kind(kind: str, se_channels: int, kernel: int) -> None:
    block = mbconv(kind=kind, se_channels=se_channels, kernel=kernel, stride=2, out_channels=16)
    assert_agreement(small(block))


@pytest.mark.parametrize("resolution", [1, 2, 3, 8, 9])
def test_torch_and_onnx_agree_on_maps_smaller_than_kernels(resolution: int) -> None:
    block = mbconv(kernel=7, stride=2, skip="pool")
    ours, theirs = outputs(small(block, block, block, resolution=resolution))
    assert np.abs(ours - theirs).max() <= TOLERANCE * max(np.abs(ours).max(), 1)


HEADS = {
    "no head": (),
    "pool only": ("pool",),
    "convolution after the pool": ("pool", "conv", "linear"),
    "convolution after a linear layer": ("pool", "linear", "conv", "mbconv", "linear"),
    "pool after a linear layer": ("pool", "linear", "pool"),
    "two linear layers": ("pool", "linear", "linear"),
}


@pytest.mark.parametrize("head", HEADS)
def test_torch_and_onnx_agree_on_any_head(head: str) -> None:
    blocks = tuple(
        mbconv(kind=kind, act="hswish", hidden_channels=16 if kind == "mbconv" else 0)
        for kind in HEADS[head]
    )
    ours, theirs = outputs(small(head=blocks))
    assert ours.shape == ((3, 8) if blocks else (3, 8, 15, 15))
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


FUSED = '''"""A kind that the package does not have: a full convolution, then a projection."""

from dataclasses import replace

from nas.network.kinds import BlockKind, full_conv, pointwise_conv


def lower(block, shape):
    first = full_conv("expand", block, shape, block.hidden_channels, groups=1)
    return first, pointwise_conv("project", first.out_shape, block.out_channels, "none")


def create():
    return BlockKind(lower=lower, choices=("expansion", "kernel", "act", "skip"))
'''


def test_a_new_kind_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "of_mine").mkdir()
    (tmp_path / "of_mine" / "fused.py").write_text(FUSED)
    monkeypatch.chdir(tmp_path)
    arch = small(mbconv(kind="of_mine.fused", skip="pool", stride=2), mbconv(kind="of_mine.fused"))
    assert_agreement(arch)
    assert sum(p.numel() for p in build_model(arch).parameters()) == cost(arch).params


@pytest.mark.parametrize("name", EVERY)
def test_trainable_parameters_are_those_of_the_costs(name: str) -> None:
    arch = load_architecture(name)
    model = build_model(arch)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == cost(arch).params


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_fvcore_counts_the_same_multiply_adds(name: str) -> None:
    fvcore = pytest.importorskip("fvcore.nn")
    arch = load_architecture(name)
    if arch.resolution > 300:  # B7 takes long; the next test has them in full
        arch = scale_resolution(arch, arch.resolution // 4 + 1)
    images = torch.zeros(1, 3, arch.resolution, arch.resolution)
    counter = fvcore.FlopCountAnalysis(build_model(arch).eval(), images)
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counts: Mapping[str, int] = counter.by_operator()
    assert set(counts) == {"conv", "linear", "batch_norm", "adaptive_avg_pool2d"}
    assert counts["conv"] + counts["linear"] == cost(arch).macs
    uncounted = {"silu", "sigmoid", "hardsigmoid", "hardswish", "hardtanh", "mul", "add"}
    assert {op.removeprefix("aten::") for op in counter.unsupported_ops()} <= uncounted


@pytest.mark.parametrize("name", EVERY)
def test_torch_counts_the_same_multiply_adds_at_full_resolution(name: str) -> None:
    arch = load_architecture(name)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        Network(arch).eval()(torch.zeros(1, 3, arch.resolution, arch.resolution))
    assert counter.get_total_flops() == 2 * cost(arch).macs


def test_names_of_weights_are_readable_and_those_of_the_graph() -> None:
    arch = load_architecture("efficientnet_b0")
    state = {k: v for k, v in build_model(arch).state_dict().items() if "batches" not in k}
    assert {k: tuple(v.shape) for k, v in state.items()} == weight_shapes(lower(arch))
    assert {
        "stem.0.conv.weight",
        "stages.2.0.expand.weight",
        "stages.2.0.expand.norm.running_mean",
        "stages.2.0.depthwise.norm.bias",
        "stages.2.0.squeeze.reduce.weight",
        "stages.2.0.squeeze.expand.bias",
        "stages.2.0.project.weight",
        "head.0.conv.weight",
        "head.2.linear.weight",
    } <= set(state)


def test_initialisation_is_that_of_the_papers() -> None:
    model = build_model(load_architecture("efficientnet_b0"))
    state = model.state_dict()
    assert state["stages.5.1.expand.weight"].std() == pytest.approx((2 / 1152) ** 0.5, rel=0.01)
    assert state["stages.5.1.depthwise.weight"].std() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    assert state["head.2.linear.weight"].abs().max() == pytest.approx(1000**-0.5, rel=0.001)
    for name, value in state.items():
        if name.endswith(("norm.weight", "running_var")):
            assert (value == 1).all()
        elif name.endswith(("bias", "running_mean", "num_batches_tracked")):
            assert (value == 0).all()


def test_norms_use_the_constants_of_the_originals() -> None:
    model = build_model(load_architecture("mobilenet_v2"))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, NORM_MOMENTUM)} == {(1e-3, 0.01)}


def test_the_seed_decides_the_weights_and_nothing_else_does() -> None:
    arch = small(mbconv())
    torch.manual_seed(1)
    first = weights_of(build_model(arch, seed=3))
    before = torch.random.get_rng_state()
    again = weights_of(build_model(arch, seed=3))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all((first[name] == again[name]).all() for name in first)
    other = weights_of(build_model(arch, seed=4))
    assert any((first[name] != other[name]).any() for name in first)


def test_dropout_stands_before_the_last_linear_layer_only() -> None:
    model = build_model(load_architecture("mobilenet_v3_large"))
    rates = {k: m.p for k, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert rates == {"head.2.linear.dropout": 0.0, "head.3.linear.dropout": 0.2}


def test_drop_connect_grows_with_depth_as_in_efficientnet() -> None:
    rates = drop_connect_rates(load_architecture("efficientnet_b0"))
    assert rates[:1] == (0.0,)
    assert rates[1:17] == pytest.approx([0.2 * i / 16 for i in range(16)])


def test_drop_connect_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    branch = torch.ones(4000, 2, 3, 3)
    dropped = drop_samples(branch, 0.25)
    per_sample = dropped.flatten(1)
    assert per_sample.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (per_sample.min(1).values == per_sample.max(1).values).all()
    assert dropped.mean() == pytest.approx(1, abs=0.05)


def test_drop_connect_touches_residual_branches_while_training_only() -> None:
    plain = mbconv(skip="none")
    arch = small(plain, mbconv(), drop_connect=0.9)
    model = build_model(arch)
    x = torch.ones(64, 8, 15, 15)
    first, second = model.stages[0]
    # The second block has a rate of 0.45: some samples pass by its branch, unchanged.
    passed = (second(x) == x).flatten(1).all(1).float().mean()
    assert 0.2 < passed < 0.7
    assert not (first(x) == x).flatten(1).all(1).any()
    model.eval()
    assert not (second(x) == x).flatten(1).all(1).any()
    assert torch.equal(model(torch.ones(2, 3, 15, 15)), model(torch.ones(2, 3, 15, 15)))


def test_pooled_shortcut_averages_what_lies_inside_the_image() -> None:
    model = build_model(small(mbconv(skip="pool", stride=2))).eval()
    (unit,) = model.stages[0]
    nn.init.zeros_(unit.project.weight)
    x = torch.arange(25.0).reshape(1, 1, 5, 5).expand(1, 8, 5, 5)
    pooled = unit(x)[0, 0].detach()
    assert pooled.shape == (3, 3)
    assert pooled[0, 0] == pytest.approx((0 + 1 + 5 + 6) / 4)
    assert pooled[1, 1] == pytest.approx(12)


def test_a_step_of_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    model = build_model(small(mbconv(se_channels=2), drop_connect=0.1, dropout=0.1))
    images, labels = torch.randn(8, 3, 15, 15), torch.arange(8) % 5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())
