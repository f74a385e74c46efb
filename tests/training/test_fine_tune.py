"""Fine-tuning: it starts from given weights, and is scored on images that it has not seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.errors import BadValue, NasError, RunError  # noqa: E402
from nas.models.build import weights_of  # noqa: E402
from nas.network.blocks import Architecture, Block  # noqa: E402
from nas.network.checkpoint import load_checkpoint  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import Weights, random_weights  # noqa: E402
from nas.training.data import Data, Images, load_data, subset  # noqa: E402
from nas.training.fine_tune import FineTuningSetup, FineTuningTask, fine_tune, held_out  # noqa: E402
from nas.training.job import Options  # noqa: E402
from nas.training.recipes import adapt, quick  # noqa: E402
from nas.training.run import plan, train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

ARCH = Architecture(
    resolution=8,
    stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=3, act="relu"),),
    stages=(),
    head=(Block(kind="pool", in_channels=8, out_channels=8),
          Block(kind="linear", in_channels=8, out_channels=10, act="none")),
    name="tiny",
)  # fmt: skip
WEIGHTS = random_weights(lower(ARCH), seed=3)
STILL = replace(adapt(quick(), epochs=1), lr=1e-12, weight_decay=0.0)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


def test_a_training_begins_with_the_weights_it_is_given(digits: Data) -> None:
    trained = train(ARCH, digits, STILL, options=Options(weights=WEIGHTS))
    found = weights_of(trained.model)
    for name in ("stem.0.conv.weight", "head.1.linear.weight", "head.1.linear.bias"):
        np.testing.assert_allclose(found[name], WEIGHTS[name], atol=1e-6)
    other = weights_of(train(ARCH, digits, STILL).model)
    assert np.abs(other["stem.0.conv.weight"] - WEIGHTS["stem.0.conv.weight"]).max() > 0.1


def test_given_weights_stay_as_they_are(digits: Data) -> None:
    weights = {name: value.copy() for name, value in WEIGHTS.items()}
    train(ARCH, digits, adapt(quick(), epochs=1), options=Options(weights=weights))
    for name, value in WEIGHTS.items():
        np.testing.assert_array_equal(weights[name], value)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    digits: Data, tmp_path: Path
) -> None:
    wide: Weights = {**WEIGHTS, "stem.0.conv.weight": np.zeros((9, 3, 3, 3), np.float32)}
    with pytest.raises(NasError, match=r"stem\.0\.conv\.weight have shape \(9, 3, 3, 3\)"):
        train(ARCH, digits, STILL, out=tmp_path / "run", options=Options(weights=wide))
    assert not (tmp_path / "run").exists()


def test_a_folder_knows_the_weights_that_its_training_began_with(
    digits: Data, tmp_path: Path
) -> None:
    options = Options(weights=WEIGHTS)
    train(ARCH, digits, STILL, out=tmp_path, options=options)
    assert train(ARCH, digits, STILL, out=tmp_path, options=options).finished
    for other in (None, {name: value + 1 for name, value in WEIGHTS.items()}):
        with pytest.raises(RunError, match="another weights"):
            train(ARCH, digits, STILL, out=tmp_path, options=Options(weights=other))


def test_held_out_images_are_not_trained_on(digits: Data) -> None:
    part = held_out(digits, 0.2, seed=3)
    assert part.test is None
    assert part.fingerprint != digits.fingerprint
    assert set(part.val.labels) == set(digits.train.labels)
    both = np.concatenate([pixels(part.train), pixels(part.val)])
    whole = pixels(digits.train)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], whole[np.lexsort(whole.T)])
    other = held_out(digits, 0.2, seed=4)
    assert other.fingerprint != part.fingerprint
    assert not np.array_equal(pixels(other.val), pixels(part.val))


def pixels(images: Images) -> np.ndarray:
    return images.read(np.arange(len(images)), 8).reshape(len(images), -1)


def test_a_held_out_share_must_leave_something(digits: Data) -> None:
    with pytest.raises(BadValue, match="shares"):
        held_out(digits, 1.0, seed=0)


def test_a_few_steps_see_that_many_images(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Data] = []

    def spy(arch: Architecture, data: Data, *rest: object, **more: object) -> object:
        seen.append(data)
        return plan(arch, data, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("nas.training.fine_tune.plan", spy)
    setup = FineTuningSetup(data=held_out(digits, 0.2, seed=0), recipe=STILL, epochs=5, steps=3)
    task = FineTuningTask(arch=ARCH, weights=WEIGHTS, round=1, path=tmp_path / "a.safetensors")
    for number in (1, 1, 2):
        fine_tune(setup, replace(task, round=number))
    first, second, third = (data.train for data in seen)
    assert len(first) == 3 * STILL.batch
    np.testing.assert_array_equal(pixels(first), pixels(second))
    assert not np.array_equal(pixels(first), pixels(third))


def test_what_was_tuned_is_kept_with_its_accuracy(digits: Data, tmp_path: Path) -> None:
    data = held_out(digits, 0.2, seed=0)
    task = FineTuningTask(arch=ARCH, weights=WEIGHTS, round=1, path=tmp_path / "a.safetensors")
    tuned = fine_tune(FineTuningSetup(data=data, recipe=adapt(quick(), lr=0.02), epochs=2), task)
    found = load_checkpoint(str(task.path))
    assert (found.arch, found.top1, found.data.classes) == (ARCH, tuned.value, digits.classes)
    again = replace(task, weights=found.weights)
    assert (
        fine_tune(FineTuningSetup(data=data, recipe=quick(), epochs=0), again).value == tuned.value
    )


def test_some_images_are_those_at_the_rows(digits: Data) -> None:
    rows = np.array([5, 0, 7])
    chosen = subset(digits.train, rows)
    np.testing.assert_array_equal(chosen.labels, digits.train.labels[rows])
    np.testing.assert_array_equal(
        chosen.read(np.array([2, 0]), 8), digits.train.read(np.array([7, 5]), 8)
    )
