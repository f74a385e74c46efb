"""Recipes and their effects: the rate at every step, decayed weights, steps of RMSprop."""

from dataclasses import replace
from math import cos, pi, sqrt

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402, TID253  # skipped above where there is no torch

from nas.core.errors import BadValue  # noqa: E402
from nas.models.build import build_model  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.augment import Augment  # noqa: E402
from nas.training.auto import by_one_optimizer, resolve_auto  # noqa: E402
from nas.training.box_augment import BoxAugment  # noqa: E402
from nas.training.extension import is_extension  # noqa: E402
from nas.training.optim import RMSpropTF, build_optimizer, parameter_groups  # noqa: E402
from nas.training.recipe_files import load_recipe, uncapped  # noqa: E402
from nas.training.recipes import (  # noqa: E402
    RECIPES,
    Recipe,
    adamw,
    adapt,
    advice,
    as_plain,
    auto,
    mobilenetv3,
    quick,
    yolo,
)
from nas.training.schedule import learning_rate, warm_decay  # noqa: E402

pytestmark = pytest.mark.torch


def plain(**changes: object) -> Recipe:
    """Return EfficientNet's recipe, without the augmentation that needs a package."""
    fields = {"optimizer": "rmsprop", "lr": 0.016, "epochs": 350, "decay": "exponential"}
    return Recipe(**{"name": "plain", "augment": Augment(), **fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECIPES)
def test_presets_have_their_names(name: str) -> None:
    assert RECIPES[name]().name == name


def test_the_papers_rates_come_out_at_the_papers_batch() -> None:
    assert adapt(plain(), batch=4096).lr == pytest.approx(0.256)
    assert adapt(mobilenetv3(), batch=4096).lr == pytest.approx(0.1)
    assert adapt(plain(), batch=64, accumulate=8).lr == pytest.approx(0.032)


def test_adamw_follows_the_root_of_the_batch() -> None:
    assert adapt(quick(), batch=256).lr == pytest.approx(2 * quick().lr)


def test_a_given_rate_is_taken_as_it_is() -> None:
    assert adapt(plain(), batch=4096, lr=0.5).lr == 0.5


def test_a_recipe_left_alone_stays_as_it_is() -> None:
    assert adapt(plain()) == plain()


def test_a_short_training_ends_as_low_as_a_long_one() -> None:
    short = adapt(plain(), epochs=14)
    ends = [learning_rate(r, step=r.epochs * 100 - 1, steps_an_epoch=100) for r in (plain(), short)]
    assert ends[0] == pytest.approx(0.016 * 0.97**145)
    assert ends[1] == pytest.approx(ends[0])
    assert short.warmup == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("images", "epochs", "batch"),
    [(100, 1, 64), (3_000, 30, 64), (3_000, 200, 128), (1_281_167, 100, 256)],
)
def test_auto_takes_larger_batches_where_they_leave_enough_steps(
    images: int, epochs: int, batch: int
) -> None:
    made = resolve_auto(adapt(auto(), epochs=epochs), images=images)
    assert made.batch == batch
    assert made.auto == ()


def test_auto_takes_a_lower_rate_for_more_steps() -> None:
    few, some, many, most = (
        resolve_auto(adapt(auto(), epochs=n, batch=64), images=3_000).lr
        for n in (1, 40, 100, 8_000)
    )
    assert few > some > many > most
    assert some == pytest.approx(2.5**0.5 * many)
    wide = resolve_auto(
        adapt(auto(), epochs=160, batch=256), images=3_000
    )  # as many steps as of 40
    assert wide.lr == pytest.approx(2 * some)


def test_auto_varies_images_more_the_more_often_they_are_seen() -> None:
    lengths = (5, 15, 25, 40, 100)
    crops = [resolve_auto(adapt(auto(), epochs=n), images=100).augment.crop for n in lengths]
    assert crops == sorted(set(crops), reverse=True)


def test_auto_leaves_what_was_given() -> None:
    asked = adapt(auto(), epochs=200, batch=16, lr=0.1)
    asked = replace(asked, auto=("mixup",), augment=replace(asked.augment, crop=0.9))
    made = resolve_auto(asked, images=3_000)
    assert (made.batch, made.lr, made.augment.crop, made.epsilon) == (16, 0.1, 0.9, 0.0)
    assert made.augment.mixup > 0
    assert resolve_auto(quick(), images=10**9) == quick()


def test_auto_divides_by_no_root_below_its_epsilon_in_classification() -> None:
    assert resolve_auto(adapt(auto(), epochs=10), images=3_000).epsilon == 1e-3
    few = adapt(auto(), epochs=1, batch=64)
    made = [resolve_auto(few, images=64 * steps).epsilon for steps in (149, 150)]
    assert made == [0.0, 1e-3]
    assert resolve_auto(auto(), images=3_000, task="detection").epsilon == 0.0


def scratch(text: str, *, images: int = 10**6, **changes: int) -> Recipe:
    return resolve_auto(adapt(load_recipe(text), **changes), images=images, from_scratch=True)


def test_auto_trains_by_sgd_from_600_steps_on() -> None:
    few, many = (scratch("auto", images=64 * n, epochs=1, batch=64) for n in (599, 600))
    assert (few.optimizer, few.weight_decay, few.warmup) == ("adamw", 0.02, 0.1)
    assert (many.optimizer, many.weight_decay, many.epsilon) == ("sgd", 5e-4, 0.0)
    assert many.warmup == pytest.approx(0.3)
    assert many.lr == pytest.approx(0.2 * 1.25)


@pytest.mark.parametrize(("steps", "rate"), [(600, 0.25), (2_343, 0.25), (9_600, 0.125)])
def test_the_rate_of_sgd_falls_from_2400_steps_on(steps: int, rate: float) -> None:
    made = scratch("auto", images=64 * steps, epochs=1, batch=64)
    assert made.lr == pytest.approx(rate)


def test_auto_keeps_adamw_where_weights_are_given_and_for_detectors() -> None:
    assert resolve_auto(auto(), images=10**6).optimizer == "adamw"
    made = resolve_auto(auto(), images=10**6, task="detection", from_scratch=True)
    assert made.optimizer == "adamw"


@pytest.mark.parametrize(
    ("name", "value"), [("lr", 0.004), ("epsilon", 1e-8), ("weight_decay", 0.05)]
)
def test_what_is_given_for_adamw_keeps_adamw(name: str, value: float) -> None:
    made = scratch(f"auto:{name}={value}")
    assert (made.optimizer, getattr(made, name)) == ("adamw", value)
    assert scratch("auto:optimizer=adamw").optimizer == "adamw"


def test_a_warmup_given_for_sgd_stays() -> None:
    made = scratch("auto:warmup=1")
    assert (made.optimizer, made.warmup) == ("sgd", 1.0)


def test_sgd_that_is_asked_for_has_its_own_rate_and_decay() -> None:
    made = resolve_auto(load_recipe("auto:optimizer=sgd"), images=3_000)
    assert (made.lr, made.weight_decay, made.epsilon) == (0.25, 5e-4, 0.0)
    made = resolve_auto(load_recipe("auto:optimizer=sgd,lr=0.08,weight_decay=1e-4"), images=3_000)
    assert (made.lr, made.weight_decay, made.warmup) == (0.08, 1e-4, 9.0)


def test_a_recipe_file_that_names_no_optimizer_as_open_keeps_its_own() -> None:
    known = replace(auto(), auto=("batch", "lr", "crop", "mixup", "epsilon"))
    assert by_one_optimizer(auto()) == known
    assert resolve_auto(known, images=10**6, from_scratch=True).optimizer == "adamw"


@pytest.mark.parametrize("epochs", [31, 60, 89, 90, 200])
def test_a_training_by_sgd_can_be_extended(epochs: int) -> None:
    begun = scratch("auto", images=3_000)
    assert begun.warmup == 9.0
    assert is_extension(begun, adapt(uncapped(begun), epochs=epochs))


def test_a_recipe_for_long_trainings_is_advised_against_in_short_ones() -> None:
    assert "these are 234 steps" in advice(adapt(adamw(), epochs=20), images=3_000)
    assert advice(adamw(), images=1_281_167) == ""
    assert advice(quick(), images=10) == advice(auto(), images=10) == ""
    assert "does not vary images with boxes" in advice(quick(), images=10, task="detection")
    assert "is made for detectors" in advice(yolo(), images=10)
    assert advice(yolo(), images=10, task="detection") == advice(
        auto(), images=10, task="detection"
    )


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.016 / 50), (24, 0.008), (49, 0.016), (50, 0.016 * 0.97**2), (71, 0.016 * 0.97**2),
     (72, 0.016 * 0.97**3)],
)  # fmt: skip
def test_a_warm_up_leads_to_a_staircase(step: int, rate: float) -> None:
    assert learning_rate(plain(), step=step, steps_an_epoch=10) == pytest.approx(rate)


def test_a_cosine_goes_from_the_full_rate_to_none() -> None:
    recipe = replace(quick(), lr=1.0, epochs=10, warmup=2.0)
    rates = [learning_rate(recipe, step=step, steps_an_epoch=5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert rates[30] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx((1 + cos(pi * 39 / 40)) / 2)


def test_averages_look_back_over_a_tenth_at_first() -> None:
    assert warm_decay(0.9999, 0) == pytest.approx(0.1)
    assert warm_decay(0.9999, 80) == pytest.approx(0.9)
    assert warm_decay(0.9999, 10**6) == 0.9999


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("lr", 0.0, "lr must be a number above 0"), ("batch", 0, "batch must be a number above 0"),
     ("epochs", 1.5, "epochs must be a whole number"), ("ema", 1.0, "ema must lie below 1"),
     ("lr", float("nan"), "lr must be a number above 0"), ("decay", "linear", "unknown decay"),
     ("optimizer", "lion", "unknown optimizer"), ("auto", ("ema",), "unknown field 'ema'"),
     ("warmup", -1, "warmup must be a number >= 0")],
)  # fmt: skip
def test_values_out_of_range_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        replace(plain(), **{field: value})


def test_rmsprop_steps_as_tensorflow_does() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = RMSpropTF([{"params": [weight], "weight_decay": 0.1}], lr=0.5)
    values, squares, momenta = [1.0, -2.0], [1.0, 1.0], [0.0, 0.0]
    for grads in ([0.3, 0.0], [-0.2, 4.0], [1e-4, 1.0]):
        weight.grad = torch.tensor(grads)
        optimizer.step()
        for i, grad in enumerate(grads):
            full = grad + 0.1 * values[i]
            squares[i] = 0.9 * squares[i] + 0.1 * full**2
            momenta[i] = 0.9 * momenta[i] + 0.5 * full / sqrt(squares[i] + 1e-3)
            values[i] -= momenta[i]
    assert weight.tolist() == pytest.approx(values, rel=1e-5)


def test_norms_biases_and_depthwise_filters_do_not_decay() -> None:
    model = build_model(load_architecture("mobilenet_v3_small"))
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, spared = (
        [names[id(p)] for p in group["params"]]
        for group in parameter_groups(model, weight_decay=0.1)
    )
    assert len(decayed) + len(spared) == len(names)
    assert {"stem.0.conv.weight", "head.3.linear.weight"} <= set(decayed)
    assert all(name.endswith("weight") and "norm" not in name for name in decayed)
    assert not any("depthwise" in name for name in decayed)
    assert "stages.0.0.depthwise.weight" in spared
    assert "stages.0.0.squeeze.reduce.weight" in decayed


def test_every_recipe_has_its_optimizer() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    kinds = {name: type(build_optimizer(r, model)) for name, r in
             (("adamw", quick()), ("rmsprop", plain()),
              ("sgd", replace(quick(), optimizer="sgd")))}  # fmt: skip
    assert kinds == {
        "adamw": torch.optim.AdamW, "rmsprop": RMSpropTF, "sgd": torch.optim.SGD
    }  # fmt: skip


def test_the_optimizer_has_the_epsilon_of_the_recipe() -> None:
    model = torch.nn.Linear(2, 2)
    for recipe, usual in ((quick(), 1e-8), (plain(), 1e-3)):  # torch's, and TensorFlow's
        for given in (0.0, 0.1):
            made = build_optimizer(replace(recipe, epsilon=given), model)
            assert made.param_groups[0]["eps"] == (given or usual)


@pytest.mark.parametrize(
    ("images", "epochs", "batch"), [(205, 40, 8), (205, 120, 16), (5_000, 20, 64), (50, 2, 8)]
)
def test_auto_suits_a_detector(images: int, epochs: int, batch: int) -> None:
    """A thousand steps or more, if possible; higher rates for larger batches."""
    found = resolve_auto(adapt(auto(), epochs=epochs), images=images, task="detection")
    assert (found.batch, found.auto) == (batch, ())
    assert 0.5 <= found.lr / (4e-3 * (batch / 16) ** 0.5) <= 1.25
    assert found.boxes.flip
    assert (found.boxes.mosaic > 0) == (epochs >= 60)
    assert resolve_auto(adapt(auto(), epochs=epochs), images=images).boxes == BoxAugment()


def test_what_is_given_for_a_detector_stays() -> None:
    given = load_recipe('auto:flip=false,batch=4,lr=0.01,zoom="0.9,1.1"')
    found = resolve_auto(given, images=1000, task="detection")
    assert (found.batch, found.lr) == (4, 0.01)
    assert found.boxes == BoxAugment(zoom=(0.9, 1.1))
    assert not resolve_auto(load_recipe("auto:flip=false"), images=9, task="detection").boxes.flip


def test_recipes_of_classifiers_are_stored_as_before() -> None:
    """No preset or option common to both kinds of augmentation adds a key."""
    for text in ("quick", "quick:flip=true", "adamw:flip=false", "auto"):
        assert "boxes" not in as_plain(load_recipe(text))
    found = load_recipe("yolo:flip=false,mosaic=1")
    assert (found.boxes.flip, found.boxes.mosaic, found.augment.flip) == (False, 1.0, False)
    assert as_plain(found)["boxes"]["mosaic"] == 1
