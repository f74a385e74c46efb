"""The plugins in `examples/my_plugins` work."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas import search
from nas.core import plugins
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.latency.measure.run import Target
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost, cost_of
from nas.network.lowering import lower, lower_block
from nas.network.weights import random_weights
from nas.searching.problem import Answers, Candidates, answers
from nas.space.file import load_space
from nas.space.lookup import Lookup
from nas.testing import check

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in the folder of the examples, whose code may run."""
    monkeypatch.chdir(EXAMPLES)
    with plugins.allowing(True):
        yield


def conv_small() -> Architecture:
    plugins.load("blocks", "my_plugins.uib")
    from my_plugins.uib import mobilenet_v4_conv_small  # type: ignore[import-not-found]

    made: Architecture = mobilenet_v4_conv_small()
    return made


def test_mobilenet_v4_conv_small_has_its_published_size() -> None:
    found = cost(conv_small())
    assert found.params == 3_774_024
    assert found.macs == 186_005_568  # "0.2 G" in the paper


def test_its_blocks_have_their_layers_strides_and_shortcuts() -> None:
    units = {unit.name: unit for unit in lower(conv_small())}
    extra, plain, convnext = (units[f"stages.2.{i}"] for i in (0, 1, 5))
    assert [layer.name for layer in extra.layers] == ["start", "expand", "depthwise", "project"]
    assert [layer.stride for layer in extra.layers] == [1, 1, 2, 1]  # type: ignore[union-attr]
    assert [layer.act for layer in extra.layers] == ["none", "relu", "relu", "none"]  # type: ignore[union-attr]
    assert [layer.name for layer in plain.layers] == ["expand", "depthwise", "project"]
    assert [layer.name for layer in convnext.layers] == ["start", "expand", "project"]
    assert [extra.shortcut, plain.shortcut, convnext.shortcut] == ["none", "identity", "identity"]


def test_a_bottleneck_without_depthwise_convolutions_has_no_stride() -> None:
    block = Block(
        kind="my_plugins.uib:middle=false", in_channels=8, out_channels=8, hidden_channels=16,
        stride=2,
    )  # fmt: skip
    with pytest.raises(NasError, match="has no stride"):
        lower_block(block, (8, 6, 6))
    with pytest.raises(NasError, match="start must be odd"):
        lower_block(Block(kind="my_plugins.uib:start=2", in_channels=8, out_channels=8), (8, 6, 6))


def test_its_space_counts_as_its_networks_do() -> None:
    space = load_space("uib_space.yaml")
    rows = space.sample_matrix(np.random.default_rng(0), 40)
    archs = space.decode_rows(rows)
    found = Lookup(space, lambda unit: (cost_of(unit).macs, cost_of(unit).params))(rows)
    assert found.tolist() == [[cost(a).macs, cost(a).params] for a in archs]
    assert space.decode(space.encode(archs[0])) == archs[0]


@pytest.mark.torch
def test_torch_and_onnx_compute_the_same() -> None:
    torch = pytest.importorskip("torch")
    runtime = pytest.importorskip("onnxruntime")
    from nas.exporting.onnx import to_onnx
    from nas.models.build import build_model, weights_of

    arch = replace(conv_small(), resolution=64)
    weights = random_weights(lower(arch))
    model = build_model(arch).eval()
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    model.load_state_dict(state, strict=False)
    image = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        ours = model(torch.from_numpy(image)).numpy()
    graph = to_onnx(arch, weights_of(model)).SerializeToString()
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(["logits"], {"input": image})
    assert sum(p.numel() for p in model.parameters()) == 3_774_024
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.parametrize(
    "text",
    [
        "my_plugins.annealing",
        "my_plugins.script:command=echo 0.5,seconds=1",
        "my_plugins.numpy_backend",
        "my_plugins.uib",
        "my_plugins.uib:start=3",
        "my_plugins.uib:start=5,middle=false",
        "my_plugins.uib:middle=false",
    ],
)
def test_each_keeps_its_contract(text: str) -> None:
    check(text)


def test_annealing_finds_more_than_chance() -> None:
    def best(strategy: str) -> float:
        run = search(space="mbconv_64", evaluator="costs", objective="max:macs", strategy=strategy,
                     seed_arch="none", trials=400, limit="params<=3M")  # fmt: skip
        return float(run.trials.metrics["macs"][run.trials.ok].max())

    assert best("my_plugins.annealing") > best("random")


def test_a_script_gives_accuracies_or_the_reason_of_its_failure() -> None:
    space = load_space("mbconv_64")
    rows = space.sample_matrix(np.random.default_rng(0), 2)
    candidates = Candidates(space=space, picks=rows)

    def asked(command: str) -> Answers:
        plugin = Plugin(name="my_plugins.script", options={"command": command})
        return answers(plugins.create("evaluators", plugin, space), candidates)

    found = asked(f"{sys.executable} my_plugins/train.py").metrics["top1"]
    macs = np.array([cost(arch).macs for arch in candidates.archs])
    assert found.tolist() == (1 - 0.5 * (1e5 / (1e5 + macs))).tolist()
    assert asked("false").errors == dict.fromkeys((0, 1), "false ended with 1: nothing")
    assert "printed 'no number'; expected a fraction" in asked("echo no number").errors[0]


def test_a_table_is_measured_on_the_backend() -> None:
    target = Target(backend="my_plugins.numpy_backend")
    backend = target.create()
    units = [unit for unit in lower(conv_small()) if unit.block.kind == "conv"]
    assert backend.open(backend.compile(units))() > 0
    with pytest.raises(NasError, match="dtype of backend numpy_backend 'int8'; there are: fp32"):
        Target(backend="my_plugins.numpy_backend", dtype="int8").create()
