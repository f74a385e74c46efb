"""Settings: run.yaml and flags agree; conflicts are reported before any work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_search import small

from nas.core.errors import BadFile, NasError, NotInSpace, UnknownName
from nas.latency.file import load_table
from nas.searching.config import SearchConfig, read_config, write_config
from nas.searching.setup import prepare

FULL = SearchConfig(
    space="mobilenetv3",
    latency_table="pixel1_2018",
    objective=("max:top1", "min:macs"),
    limit=("latency_ms<=51", "params<=6M"),
    strategy="random",
    trials=5,
    seed=3,
    seed_arch=("mobilenet_v3_large_nearest",),
    allow_extrapolation=True,
)


@pytest.mark.parametrize("config", [SearchConfig(), FULL])
def test_settings_survive_their_file(tmp_path: Path, config: SearchConfig) -> None:
    write_config(config, tmp_path / "run.yaml")
    assert read_config(tmp_path / "run.yaml") == config


def test_a_file_may_leave_settings_out(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("schema: 1\nlimit: [macs<=300M]\n")
    assert read_config(tmp_path / "run.yaml") == SearchConfig(limit=("macs<=300M",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trails: 3", "line 2: unknown key 'trails'; did you mean trials"),
        ("trials: many", "line 2: trials must be a whole number >= 0, not 'many'"),
        ("trials: true", "line 2: trials must be a whole number >= 0, not True"),
        ("era: true", "line 2: era must be a text, not True"),
        ("era: 20.18", "line 2: era must be a text, not 20.18"),
        ("strategy: 3", "line 2: strategy must be a text, not 3"),
        ("limit: 80", "line 2: limit must be a list of texts, not 80"),
        ("limit: [80]", r"line 2: limit must be a list of texts, not \[80\]"),
        ("seed_arch: [null]", "line 2: seed_arch must be a list of texts"),
        ("space: [a, b]", "line 2: space must be a text"),
        ("allow_extrapolation: 1", "line 2: allow_extrapolation must be true or false, not 1"),
        ("trials: 0", "line 2: trials must be a whole number >= 1"),
        ("seed: -1", "line 2: seed must be a whole number >= 0"),
        ("seed: 1\nseed: 2", "line 3: key 'seed' is given twice"),
        ("seed: [", "line 3: "),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"schema: 1\n{text}\n")
    with pytest.raises(BadFile, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))


def test_one_text_stands_for_a_list_of_one() -> None:
    assert SearchConfig(limit="macs<=1G").limit == ("macs<=1G",)


@pytest.mark.filterwarnings("ignore:era:nas.core.deprecation.DeprecatedName")
@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("era: 2018", {"era": "2018"}),
        ("era: '2018'", {"era": "2018"}),
        ("limit: latency_ms<=80", {"limit": ("latency_ms<=80",)}),
        ("objective: max:top1", {"objective": ("max:top1",)}),
        ("seed_arch: efficientnet_b0", {"seed_arch": ("efficientnet_b0",)}),
    ],
)
def test_a_file_may_say_it_in_short(tmp_path: Path, text: str, settings: dict[str, Any]) -> None:
    (tmp_path / "run.yaml").write_text(f"schema: 1\n{text}\n")
    assert read_config(tmp_path / "run.yaml") == SearchConfig(**settings)


@pytest.mark.filterwarnings("ignore:era:nas.core.deprecation.DeprecatedName")
def test_an_era_may_be_a_number() -> None:
    assert SearchConfig(era=2018) == SearchConfig(era="2018")
    assert prepare(small(era=2018)).table == load_table("pixel1_2018")


def test_a_setup_leaves_nothing_to_a_default() -> None:
    config = prepare(SearchConfig()).config
    assert config == SearchConfig(objective=("max:top1_lcb", "min:latency_ms"), strategy="archive")
    assert prepare(config).config == config


def test_where_an_evaluation_is_a_training_the_default_strategy_is_guided(fakes_path: Path) -> None:
    config = SearchConfig(space=str(fakes_path / "tiny.yaml"), evaluator="fakes.plain",
                          objective=("macs",), allow_extrapolation=True)  # fmt: skip
    found = prepare(config).config
    assert (found.strategy, found.objective) == ("guided", ("min:macs",))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"space": "mbcon"}, UnknownName, "did you mean mbconv"),
        ({"latency_table": "pixel9"}, UnknownName, "did you mean pixel"),
        ({"era": "2017"}, UnknownName, "era .* '2017'; did you mean 2019, 2018"),
        ({"evaluator": "surogate"}, UnknownName, "did you mean surrogate"),
        ({"evaluator": "costs"}, NasError, "evaluator costs knows no accuracy"),
        ({"evaluator": "table"}, NasError, "evaluator table needs table"),
        ({"evaluator": "surrogate:path=x.npz"}, BadFile, "x.npz: no such file"),
        ({"strategy": "randon"}, UnknownName, "did you mean random"),
        ({"strategy": "random:size=3"}, NasError, "unknown option 'size'"),
        (
            {"objective": ["top5"]},
            UnknownName,
            "unknown metric 'top5'; there are: activations, latency_ms, macs",
        ),
        ({"objective": ["up:macs"]}, NasError, "expected METRIC, min:METRIC or max:METRIC"),
        ({"limit": ["latency_ms<80"]}, NasError, "expected METRIC<=NUMBER"),
        ({"limit": ["latency<=80"]}, UnknownName, "did you mean latency_ms"),
        ({"limit": ["top1>=0.7"]}, UnknownName, "did you mean top1_proxy"),
        ({"reward": "goal=80"}, NasError, "unknown key 'goal'"),
        ({"reward": "below=-0.07"}, NasError, "missing target"),
        ({"reward": "target=fast"}, NasError, "expected target=80,below=-0.07,above=-0.07"),
        ({"reward": "target=0"}, NasError, "a target above 0"),
        (
            {"reward": "target=80", "objective": ["min:macs"]},
            NasError,
            "a reward is the one objective; leave out either `reward` or `objective`",
        ),
        ({"reward": "target=80", "objective": ["max:reward", "min:macs"]}, NasError, "the one obj"),
        ({"reward": "target=80", "objective": ["min:reward"]}, NasError, "the one objective"),
        ({"seed_arch": ["efficientnet_b1"]}, NotInSpace, "efficientnet_b1 is not in space"),
        ({"seed_arch": ["efficientnet_b9"]}, UnknownName, "did you mean efficientnet_b"),
        (
            {"space": "mobilenetv3", "evaluator": "surrogate:path=mnasnet_b0"},
            NasError,
            "mobilenetv3",
        ),
    ],
)
def test_what_does_not_fit_is_reported_first(
    settings: dict[str, object], error: type[NasError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        prepare(small(**settings))
    assert "\n" not in str(caught.value)


def test_an_unknown_baseline_is_reported_first(tmp_path: Path, fakes_path: Path) -> None:
    text = (fakes_path / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(f"{text}baseline: efficientnet_b9\n")
    config = SearchConfig(
        space=str(tmp_path / "tiny.yaml"), evaluator="fakes.plain", allow_extrapolation=True
    )
    with pytest.raises(UnknownName, match="unknown architecture 'efficientnet_b9'; did you mean"):
        prepare(config)


def test_the_default_problem_is_accuracy_against_latency() -> None:
    for config, metrics in (
        (SearchConfig(), ("top1", "top1_lcb")),
        (small(), ("top1_proxy", "top1_proxy")),
    ):
        setup = prepare(config)
        objectives = [f"max:{metrics[1]}", "min:latency_ms"]
        assert [str(o) for o in setup.problem.objectives] == objectives
        assert type(setup.strategy()).__name__ == "Archive"
        assert (setup.accuracy, setup.guide) == metrics


def test_a_reward_is_of_the_bound() -> None:
    setup = prepare(SearchConfig(space="mnasnet_b0", reward="target=80"))
    assert setup.problem.reward is not None
    assert setup.problem.reward.accuracy == "top1_lcb"


def test_no_architecture_to_begin_with_is_a_word() -> None:
    assert SearchConfig(seed_arch=("none",)) == SearchConfig(seed_arch=())


def test_a_reward_is_the_one_objective() -> None:
    for objective in ((), ("max:reward",), ("reward",)):
        setup = prepare(small(reward="target=80", objective=objective))
        assert setup.config.objective == ("max:reward",)
        assert [str(o) for o in setup.problem.objectives] == ["max:reward"]
        assert setup.problem.reward is not None
        assert setup.problem.reward.above == -0.07


def test_the_description_distinguishes_problems() -> None:
    config = small(strategy="random")
    base = prepare(config).problem.describe()
    assert prepare(replace(config, seed=1)).problem.describe() == base
    for change in ({"latency_table": "pixel1_2018"}, {"limit": "macs<=1G"},
                   {"space": "mobilenetv3"}, {"reward": "target=70"}):  # fmt: skip
        assert prepare(replace(config, **change)).problem.describe() != base


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus_per_trial": -1.0}, "gpus_per_trial must be a number >= 0"),
        ({"gpus_per_trial": float("nan")}, "gpus_per_trial must be a number >= 0"),
        ({"max_epochs": 5}, "trains for no epochs"),
        ({"trial_seconds": 5}, "nothing can end a trial of evaluator surrogate"),
    ],
)
def test_limits_that_nobody_can_keep_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(NasError, match=message):
        prepare(small(**settings))


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("schema: 1\ngpus_per_trial: 1\n")
    assert read_config(tmp_path / "run.yaml").gpus_per_trial == 1.0
    (tmp_path / "run.yaml").write_text("schema: 1\ngpus_per_trial: many\n")
    with pytest.raises(NasError, match="must be a number >= 0, not 'many'"):
        read_config(tmp_path / "run.yaml")


def test_a_reward_needs_an_accuracy() -> None:
    with pytest.raises(NasError, match="a reward needs an accuracy"):
        prepare(small(evaluator="costs", reward="target=40"))
