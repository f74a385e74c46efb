"""Training with quantization ends in a network whose int8 graph computes what was trained."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")

from nas.core.errors import BadFile, BadValue, RunError  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from nas.training.confusion import evaluate  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.int8.choice import BATCH, CPU, QuantizationSettings  # noqa: E402
from nas.training.int8.quantize import quantize  # noqa: E402
from nas.training.int8.runtime import RuntimeModel  # noqa: E402
from nas.training.job import Options  # noqa: E402
from nas.training.recipe_files import find_recipe  # noqa: E402
from nas.training.recipes import adapt  # noqa: E402
from nas.training.run import train  # noqa: E402
from nas.training.trained import batches_for, network_of  # noqa: E402

pytestmark = pytest.mark.torch

SHORT = adapt(find_recipe("int8"), epochs=2)


def mbconv(before: int, after: int, stride: int, act: str) -> Block:
    return Block(
        kind="mbconv", in_channels=before, out_channels=after, hidden_channels=3 * before,
        kernel=3, stride=stride, act=act, se_channels=8, gate="hsigmoid",
    )  # fmt: skip


ARCH = Architecture(
    resolution=32,
    stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, stride=2, act="hswish"),),
    stages=(
        (mbconv(8, 16, 2, "relu"), mbconv(16, 16, 1, "hswish")),
        (mbconv(16, 24, 2, "hswish"),),
    ),
    head=(
        Block(kind="pool", in_channels=24, out_channels=24),
        Block(kind="linear", in_channels=24, out_channels=10, act="none"),
    ),
    name="small",
)


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Limit the trainings of all fixtures to one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


@pytest.fixture(scope="module")
def floats(digits: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aware") / "floats"
    train(ARCH, digits, adapt(find_recipe("auto"), epochs=4), out=folder)
    return folder


@pytest.fixture(scope="module")
def options(floats: Path) -> Options:
    return Options(weights=load_checkpoint(str(floats)).weights, quantize=True)


@pytest.fixture(scope="module")
def folder(digits: Data, options: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aware") / "rounded"
    train(ARCH, digits, SHORT, out=out, options=options)
    return out


@pytest.fixture(scope="module")
def trained(folder: Path) -> Checkpoint:
    return load_checkpoint(str(folder))


def test_the_int8_graph_answers_as_the_trained_network(trained: Checkpoint, digits: Data) -> None:
    found = quantize(trained, digits, QuantizationSettings(images=64))
    assert (found.calibration, found.images, found.means) == ("training", 0, {})
    assert trained.top1 is not None
    assert trained.top1 > 0.8
    assert found.after == pytest.approx(trained.top1, abs=0.003)
    batches = batches_for(trained, digits, split="val", device=CPU, batch=BATCH)
    ours, theirs = network_of(trained), RuntimeModel(found.model)
    with torch.no_grad():
        same = [(ours(x).argmax(1) == theirs(x).argmax(1)).float() for x, _ in batches]
    assert torch.cat(same).mean() > 0.99


def test_the_score_of_the_folder_is_that_of_the_rounded_network(
    trained: Checkpoint, digits: Data
) -> None:
    assert evaluate(trained, digits).score.top1 == trained.top1
    plain = evaluate(replace(trained, ranges={}), digits).score
    assert plain.loss != evaluate(trained, digits).score.loss


def test_ranges_are_learned_and_kept(trained: Checkpoint, digits: Data, options: Options) -> None:
    assert "logits" in trained.ranges
    assert all(low < 0 < high for low, high in trained.ranges.values())
    begun = train(ARCH, digits, SHORT, options=replace(options, seconds=1e-9))
    start = begun.model.ranges.exp().detach().numpy()
    moved = np.array([*trained.ranges.values()]) * (-1, 1) / start
    assert (np.abs(moved - 1) > 1e-3).mean() > 0.3
    assert (moved > 0.5).all()
    assert (moved < 2).all()


def test_an_interrupted_training_ends_with_the_same_weights(
    trained: Checkpoint, digits: Data, options: Options, tmp_path: Path
) -> None:
    train(ARCH, digits, SHORT, out=tmp_path, options=replace(options, until=1))
    resumed = replace(options, weights=None, weights_fingerprint=_began(tmp_path))
    assert train(ARCH, digits, SHORT, out=tmp_path, options=resumed).finished
    again = load_checkpoint(str(tmp_path))
    assert again.ranges == trained.ranges
    for name, value in trained.weights.items():
        np.testing.assert_array_equal(again.weights[name], value)


def _began(folder: Path) -> str:
    from nas.core.data import read_mapping

    found: str = read_mapping(folder / "train.yaml")["weights"]["fingerprint"]
    return found


def test_a_folder_is_not_continued_without_quantization(
    folder: Path, digits: Data, options: Options
) -> None:
    with pytest.raises(RunError, match="quantize"):
        train(ARCH, digits, SHORT, out=folder, options=replace(options, quantize=False))


def test_it_begins_with_a_trained_network(digits: Data) -> None:
    with pytest.raises(BadValue, match="begins with a trained network: give its `weights`"):
        train(ARCH, digits, SHORT, options=Options(quantize=True))


def test_ranges_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    from nas.models.state import load, save
    from nas.network.checkpoint import read_header

    path = folder / "best.safetensors"
    facts = read_header(path)
    for change in ({"quantized": ["input"]}, {"quantized": []}):
        whole = {"schema": 1, "arch": facts.arch, "data": _plain(facts.data), "progress": {}}
        save(tmp_path / "other.safetensors", load(path), {**whole, **change})
        with pytest.raises(BadFile, match="ranges of shape"):
            load_checkpoint(str(tmp_path / "other.safetensors"))


def _plain(data: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(data)


def test_the_command_trains_scores_and_quantizes(floats: Path, tmp_path: Path, nas: Any) -> None:
    out, more = str(tmp_path / "rounded"), ("--data", "digits")
    said = nas("train", str(floats), *more, "--quantize", "--epochs", "1", "--out", out)
    assert said.code == 0, said.err
    assert f"nas quantize {out} --data digits" in said.err
    said = nas("eval", out, *more)
    assert "scored with weights and values rounded to int8" in said.err
    said = nas("quantize", out, *more, "--out", str(tmp_path / "int8"), "--rounds", "2")
    assert said.code == 0, said.err
    assert "ranges by training" in said.out
    said = nas("train", "--out", out)
    assert said.code == 0, said.err  # it is finished


def test_the_command_wants_weights(tmp_path: Path, nas: Any) -> None:
    said = nas("train", "mobilenet_v3_small", "--data", "digits", "--quantize",
               "--out", str(tmp_path / "out"))  # fmt: skip
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "give its --weights" in said.err
