"""Recipes as users write them: a name, a name with options, a file."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.core.data import to_yaml
from nas.core.errors import NasError
from nas.training.augment import Augment
from nas.training.auto import resolve_auto
from nas.training.recipe_files import (
    find_recipe,
    fingerprint,
    load_recipe,
    pinned,
    read_recipe,
    to_mapping,
)
from nas.training.recipes import (
    RECIPES,
    adamw,
    adapt,
    auto,
    descriptions,
    efficientnet,
    quick,
)

OPTIONS = 'adamw:lr=0.001,flip=false,randaugment="1,5",warmup=1,mixup=0'


@pytest.mark.parametrize("text", [*RECIPES, OPTIONS])
def test_what_is_written_is_read_back_as_the_same_recipe(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(to_mapping(load_recipe(text))))
    read = read_recipe(path)
    assert read == load_recipe(text)
    assert read.name == "mine"
    assert fingerprint(read) == fingerprint(load_recipe(text))


def test_options_change_values_of_the_recipe_and_of_its_augmentation() -> None:
    changed = load_recipe(OPTIONS)
    augment = replace(adamw().augment, flip=False, randaugment=(1, 5), mixup=0.0)
    assert changed == replace(adamw(), lr=0.001, warmup=1.0, augment=augment)
    assert changed.name == OPTIONS
    assert load_recipe("adamw:randaugment=none").augment.randaugment is None


def test_an_option_of_auto_is_not_set_by_itself() -> None:
    recipe = load_recipe("auto:lr=0.01,crop=0.5")
    assert recipe.auto == tuple(n for n in auto().auto if n not in ("lr", "crop"))
    assert (recipe.lr, recipe.augment.crop) == (0.01, 0.5)
    assert "auto" not in to_mapping(load_recipe("quick"))  # as in files of earlier versions


def test_what_a_file_changes_of_auto_is_not_set_by_itself(tmp_path: Path) -> None:
    content, path = to_mapping(auto()), tmp_path / "mine.yaml"
    path.write_text(to_yaml(content))
    assert load_recipe(str(path)) == auto()
    assert load_recipe(str(path)).auto == auto().auto
    for name, value in {"lr": 1e-4, "epsilon": 1e-6, "batch": 32}.items():
        path.write_text(to_yaml(content | {name: value}))
        read = load_recipe(str(path))
        assert getattr(read, name) == value
        assert read.auto == tuple(n for n in auto().auto if n != name)
        assert getattr(resolve_auto(read, images=3_000), name) == value
    path.write_text(to_yaml(content | {"augment": {"flip": True, "crop": 0.3}}))
    assert resolve_auto(load_recipe(str(path)), images=3_000).augment.crop == 0.3


def test_options_with_a_flag_adapt_the_rest_as_the_flag_does() -> None:
    assert load_recipe("quick:batch=256") == adapt(quick(), batch=256)
    assert load_recipe("efficientnet:epochs=14,lr=0.1") == adapt(efficientnet(), epochs=14, lr=0.1)
    assert load_recipe("quick:epochs=10,warmup=3").warmup == 3


def test_options_follow_a_file_and_a_file_may_leave_out_what_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "a b.yaml"
    path.write_text("schema: 1\nname: gentle\noptimizer: adamw\nlr: 1e-4\naugment: {flip: true}\n")
    read = load_recipe(str(path))
    assert (read.name, read.lr, read.augment) == ("gentle", 1e-4, Augment(flip=True))
    assert load_recipe(f"{path}:clip=2") == replace(read, clip=2.0)


def test_a_recipe_keeps_its_accumulation_unless_another_is_asked_for() -> None:
    recipe = load_recipe("quick:accumulate=4")
    assert adapt(recipe) == recipe
    assert adapt(recipe, accumulate=1).accumulate == 1


def test_presets_are_pinned_by_name_and_others_by_content() -> None:
    assert pinned("quick") == "quick"
    assert pinned("quick:lr=0.1") == pinned("quick:lr=1e-1") != pinned("quick:lr=0.2")


def test_every_preset_has_a_line_about_itself() -> None:
    assert descriptions().keys() == RECIPES.keys()
    assert descriptions()["adamw"] == "A modern recipe for networks of this size"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adam", r"unknown recipe 'adam'; did you mean adamw\?"),
        ("zzz", "there are: adamw, .*; a file's name ends with .yaml or .json"),
        ("mine.yaml", "mine.yaml: No such file"),
        ("quick:flp=true", r"recipe quick: unknown option 'flp'; did you mean flip"),
        ("quick:lr=high", "recipe quick:lr=high: lr must be a number >= 0, not 'high'"),
        ("quick:flip=2", "augment.flip must be true or false, not 2"),
        ("quick:ema=2", "ema must lie below 1"),
        ("adamw:randaugment=2", "operations and magnitude in quotes, as in .*, not '2'"),
        ("quick:epochs=0", "epochs must be a number above 0"),
    ],
)
def test_mistakes_say_what_is_expected(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        load_recipe(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr: fast", "line 3: lr must be a number >= 0, not 'fast'"),
        ("rl: 0.1", "line 3: unknown key 'rl'; did you mean lr"),
        ("augment: {crop: 2}", "line 3: augment: crop must be an area"),
    ],
)
def test_a_wrong_file_is_reported_with_line_and_key(
    line: str, message: str, tmp_path: Path
) -> None:
    path, rate = tmp_path / "mine.yaml", "" if "lr" in line else "lr: 0.1\n"
    path.write_text(f"schema: 1\noptimizer: adamw\n{line}\n{rate}")
    with pytest.raises(NasError, match=f"mine.yaml, {message}"):
        read_recipe(path)


def test_what_a_recipe_needs_is_reported_when_it_is_to_train(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.training.recipe_files.find_spec", lambda name: None)
    assert load_recipe("adamw").augment.randaugment
    with pytest.raises(NasError, match=r"pip install 'nas\[data\]', or give randaugment=none"):
        find_recipe("adamw")
