"""The zero-cost evaluator: its images, refusals, and how a search shows it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from small_search import search  # noqa: E402

from nas.accuracy.zero_cost import LABELLED, SCORES, first_batch, zero_cost_score  # noqa: E402
from nas.core import plugins  # noqa: E402  # skipped above where there is no torch
from nas.core.errors import NasError  # noqa: E402
from nas.core.plugins import Plugin  # noqa: E402
from nas.network.cost import cost  # noqa: E402
from nas.searching.evaluators.zero_cost import SECONDS, ZeroCost, create  # noqa: E402
from nas.searching.loop import Run  # noqa: E402
from nas.searching.problem import Candidates, Objective  # noqa: E402
from nas.space.file import load_space  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.run import fit_to_data  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

TINY = Path(__file__).parents[2] / "data" / "tiny.yaml"
SPACE = load_space(str(TINY))
DATA = "shapes:count=64,difficulty=0,classes=3"


def some(count: int = 3) -> Candidates:
    return Candidates(space=SPACE, picks=SPACE.sample_matrix(np.random.default_rng(0), count))


def values(evaluator: ZeroCost, candidates: Candidates) -> list[float]:
    found: list[float] = evaluator(candidates)["zero_cost"].tolist()
    return found


def made(text: str, **named: Any) -> ZeroCost:
    evaluator = plugins.create("evaluators", Plugin.parse(text), SPACE, **named)
    assert isinstance(evaluator, ZeroCost)
    return evaluator


@pytest.mark.parametrize("score", SCORES)
def test_it_scores_the_first_training_images_for_their_classes(score: str) -> None:
    data = load_data(DATA)
    images, labels = first_batch(data, batch=8, side=32, seed=5)
    expected = [
        zero_cost_score(score, fit_to_data(arch, data), images, labels, seed=5)
        for arch in some().archs
    ]
    evaluator = create(SPACE, data=DATA, score=score, batch=8, seed=5)
    assert values(evaluator, some()) == expected


def test_classes_are_those_of_the_data() -> None:
    params = create(SPACE, data=DATA, score="params")
    own = create(SPACE, score="params")
    assert values(own, some()) == [cost(arch).params for arch in some().archs]
    fewer = (10 - 3) * (24 + 1)  # a tiny network has 10 classes and 24 features
    assert values(params, some()) == [value - fewer for value in values(own, some())]


def test_without_data_the_images_follow_from_the_seed() -> None:
    one, same, other = (create(SPACE, batch=4, seed=seed) for seed in (1, 1, 2))
    assert values(one, some()) == values(same, some())
    assert values(one, some()) != values(other, some())


def test_a_smaller_resolution_is_that_of_the_images() -> None:
    small = create(SPACE, batch=4, resolution=16)
    assert small.images(16)[0].shape == (4, 3, 16, 16)
    assert values(small, some()) != values(create(SPACE, batch=4), some())
    counted = [create(SPACE, score="macs", resolution=r) for r in (0, 16)]
    assert values(counted[0], some()) == values(counted[1], some())


def test_it_names_what_its_answers_depend_on() -> None:
    data = load_data(DATA)
    named = made("zero_cost:score=snip,batch=8,resolution=16", data=DATA, seed=2)
    assert str(named) == f"zero_cost:snip data {data.fingerprint} batch 8 resolution 16 seed 2"
    assert str(made("zero_cost")) == "zero_cost:naswot data random batch 64 resolution 0 seed 0"


def test_more_of_it_is_better() -> None:
    assert made("zero_cost").provides == ("zero_cost",)
    assert Objective.parse("zero_cost").direction == "max"


@pytest.mark.parametrize("score", LABELLED)
def test_labelled_scores_need_data(score: str) -> None:
    with pytest.raises(NasError, match=rf"score {score} needs labelled images, as in `data="):
        made(f"zero_cost:score={score}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("score=zan", r"unknown zero-cost score 'zan'; did you mean zen"),
        ("batch=1", r"batch must be 2 images or more, not 1"),
        ("resolution=4", r"sides of 8 pixels at least, not 4"),
        ("batch=many", r"batch must be int, not 'many'"),
    ],
)
def test_bad_options_are_named(options: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        made(f"zero_cost:{options}")


def test_a_resolution_too_small_for_the_strides_is_refused_before_any_work() -> None:
    with pytest.raises(NasError, match=r"a resolution of 8 is too small.* use \d+ or more"):
        create(load_space("mnasnet_b0"), resolution=8)


@pytest.fixture(scope="module")
def run() -> Run:
    return search(
        space=str(TINY), evaluator="zero_cost:score=synflow,batch=2", strategy="random", trials=12,
        allow_extrapolation=True,
    )  # fmt: skip


def test_a_search_maximises_it(run: Run) -> None:
    assert run.setup.accuracy == "zero_cost"
    assert run.trials.ok.all()
    best = run.best
    assert best is not None
    assert best.accuracy == run.trials.metrics["zero_cost"].max()


def test_every_score_says_what_it_takes() -> None:
    assert set(SECONDS) == set(SCORES)
    quick = {score for score in SCORES if create(SPACE, score=score, data=DATA).seconds <= 1e-3}
    assert quick == {"params", "macs"}
