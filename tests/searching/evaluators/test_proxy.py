"""The proxy evaluator: short trainings in rungs that survive failures and kills."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import supernets  # noqa: E402

from nas.accuracy.short import Segment, ShortTrainingSetup, advance  # noqa: E402
from nas.core import plugins  # noqa: E402
from nas.core.errors import NasError, RunError  # noqa: E402
from nas.core.plugins import Plugin  # noqa: E402
from nas.core.storage import Place  # noqa: E402
from nas.core.workers.runner import Failure, attempt  # noqa: E402
from nas.searching.evaluate import evaluate  # noqa: E402
from nas.searching.evaluators.costs import create as create_costs  # noqa: E402
from nas.searching.evaluators.proxy import FOLDER, LOG, Proxy, create  # noqa: E402
from nas.searching.problem import Answers, Candidates, Objective, Problem  # noqa: E402
from nas.searching.task import head_of  # noqa: E402
from nas.space.file import load_space  # noqa: E402
from nas.space.heads import Detectors  # noqa: E402
from nas.space.space import Space  # noqa: E402
from nas.supernet.run import plan_supernet, train_supernet  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.loop import Diverged  # noqa: E402
from nas.training.recipe_files import find_recipe  # noqa: E402
from nas.training.recipes import adapt  # noqa: E402
from nas.training.run import ShortTrainingResult, train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
DATA = "shapes:count=128,difficulty=0,classes=2"


class Made:
    """A runner with made-up accuracies, or the results of `spoil` for a segment."""

    workers = 1

    def __init__(self, spoil: object = None) -> None:
        self.segments: list[Segment] = []
        self.seconds: set[float] = set()
        self._spoil = spoil

    def map(self, work, shared, tasks, *, seconds=0.0):  # type: ignore[no-untyped-def]
        self.seconds.add(seconds)
        for number, segment in enumerate(tasks):
            self.segments.append(segment)
            spoilt = self._spoil(segment) if self._spoil else None  # type: ignore[operator]
            yield number, spoilt or attempt(_made_up, shared, segment)

    def close(self) -> None: ...


def _made_up(setup: ShortTrainingSetup, segment: Segment) -> ShortTrainingResult:
    """Return an accuracy that is better for larger networks and longer trainings."""
    size = sum(b.hidden_channels + b.out_channels for row in segment.arch.stages for b in row)
    return ShortTrainingResult(
        value=1 - 1 / (1 + size / 50) / segment.until, epochs=segment.until, seconds=1.0
    )


def _proxy(space: Space, out: Path, **options: object) -> Proxy:
    given = {"data": DATA, "epochs": 4, "rungs": 3, "eta": 2, **options}
    return create(space, out=Place(out), **given)  # type: ignore[arg-type]


def _batch(space: Space, count: int, seed: int = 0) -> Candidates:
    rows = np.unique(space.sample_matrix(np.random.default_rng(seed), 4 * count), axis=0)
    return Candidates(space=space, picks=np.random.default_rng(seed).permutation(rows)[:count])


def test_only_the_better_half_trains_on(tiny: Space, tmp_path: Path) -> None:
    runner = Made()
    said = _proxy(tiny, tmp_path, runner=runner)(_batch(tiny, 8))
    assert [segment.until for segment in runner.segments] == [1] * 8 + [2] * 4 + [4] * 2
    assert len(said.stopped) == 6
    assert sorted(said.metrics["epochs"]) == [1, 1, 1, 1, 2, 2, 4, 4]
    done = [i for i in range(8) if i not in said.stopped]
    assert said.metrics["top1_proxy"][done].min() >= said.metrics["top1_proxy"].max() - 0.02


@pytest.mark.parametrize("seconds", [0.0, 7.0])
def test_a_training_that_hangs_has_twice_the_time_of_one_that_is_late(
    tiny: Space, tmp_path: Path, seconds: float
) -> None:
    runner = Made()
    _proxy(tiny, tmp_path, runner=runner, trial_seconds=seconds)(_batch(tiny, 2))
    assert runner.seconds == {2 * seconds}  # it ends by itself after `seconds`, between epochs


def test_who_stops_gets_the_accuracy_to_be_expected(tiny: Space, tmp_path: Path) -> None:
    batch = _batch(tiny, 8)
    found = _proxy(tiny, tmp_path, runner=Made())(batch).metrics["top1_proxy"]
    setup = ShortTrainingSetup(data=None, recipe=None, seed=0, folder=Place(tmp_path))  # type: ignore[arg-type]
    full = [_made_up(setup, Segment(arch=arch, until=4)).value for arch in batch.archs]
    assert found == pytest.approx(full)


def test_all_objectives_decide_who_is_promoted(tiny: Space, tmp_path: Path) -> None:
    runner = Made()
    problem = Problem(
        space=tiny,
        evaluators=(create_costs(tiny), _proxy(tiny, tmp_path, runner=runner, rungs=2)),
        objectives=(Objective.parse("top1_proxy"), Objective.parse("macs")),
    )
    trials = evaluate(problem, _batch(tiny, 12).picks)
    full = trials.metrics["epochs"] == 4
    assert (trials.status[full] == "ok").all()
    assert (trials.status[~full] == "stopped").all()
    assert full[trials.metrics["macs"].argmin()]
    assert full[trials.metrics["top1_proxy"].argmax()]


def test_failures_are_recorded_and_the_others_continue(tiny: Space, tmp_path: Path) -> None:
    batch = _batch(tiny, 6)
    bad = batch.archs[2].fingerprint

    def spoil(segment: Segment) -> Failure | None:
        return Failure("the loss is nan") if segment.arch.fingerprint == bad else None

    said = _proxy(tiny, tmp_path, runner=Made(spoil))(batch)
    assert said.errors == {2: "the loss is nan"}
    assert np.isnan(said.metrics["top1_proxy"]).tolist() == [False, False, True] + [False] * 3


def test_a_full_disk_ends_the_search_and_fails_nobody(tiny: Space, tmp_path: Path) -> None:
    full = Made(lambda segment: Failure("no space left", fatal=True))
    with pytest.raises(RunError, match="no space left"):
        _proxy(tiny, tmp_path, runner=full)(_batch(tiny, 3))
    assert not _proxy(tiny, tmp_path, runner=Made())(_batch(tiny, 3)).errors


@pytest.mark.parametrize("lines", range(1, 15))
def test_it_resumes_where_it_was_killed(tiny: Space, tmp_path: Path, lines: int) -> None:
    batch = _batch(tiny, 8)
    whole = _proxy(tiny, tmp_path, runner=Made())(batch)
    log = tmp_path / FOLDER / LOG
    kept = log.read_bytes().splitlines(keepends=True)
    assert len(kept) == 15
    log.write_bytes(b"".join(kept[:lines]))
    runner = Made()
    again = _proxy(tiny, tmp_path, runner=runner)(batch)
    assert len(runner.segments) == 15 - lines
    assert log.read_bytes() == b"".join(kept)
    assert again.stopped == whole.stopped
    for name, values in whole.metrics.items():
        assert again.metrics[name].tolist() == values.tolist()


def test_the_log_of_other_trainings_is_refused(tiny: Space, tmp_path: Path) -> None:
    _proxy(tiny, tmp_path, runner=Made())(_batch(tiny, 2))
    with pytest.raises(RunError, match="of other trainings"):
        _proxy(tiny, tmp_path, runner=Made(), epochs=8)(_batch(tiny, 2))
    (tmp_path / FOLDER / LOG).write_text('{"evaluator": "x"}\n')
    with pytest.raises(RunError, match="of other trainings"):
        _proxy(tiny, tmp_path, runner=Made())(_batch(tiny, 2))


def test_real_trainings_keep_the_weights_of_who_finishes(tiny: Space, tmp_path: Path) -> None:
    batch = _batch(tiny, 4)
    said = _proxy(tiny, tmp_path, epochs=2, rungs=2)(batch)
    assert isinstance(said, Answers)
    assert not said.errors
    assert (said.metrics["top1_proxy"] > 0.3).all()
    for i, arch in enumerate(batch.archs):
        kept = {path.name for path in (tmp_path / FOLDER / arch.fingerprint).iterdir()}
        assert {"metrics.jsonl", "arch.yaml"} <= kept
        assert ("best.safetensors" in kept) == (i not in said.stopped)
        assert "last.safetensors" not in kept


def test_a_training_in_stages_is_one_in_a_row(tiny: Space, tmp_path: Path) -> None:
    arch = _batch(tiny, 1).archs[0]
    one = _proxy(tiny, tmp_path / "one", epochs=3)._setup
    two = _proxy(tiny, tmp_path / "two", epochs=3)._setup
    advance(one, Segment(arch=arch, until=1))
    staged, whole = (advance(setup, Segment(arch=arch, until=3)) for setup in (one, two))
    assert (staged.value, staged.epochs) == (whole.value, whole.epochs)


def test_a_training_that_diverges_says_so(tiny: Space, tmp_path: Path) -> None:
    setup = _proxy(tiny, tmp_path, lr=1e30)._setup
    with pytest.raises(Diverged, match="the loss is"):
        advance(setup, Segment(arch=_batch(tiny, 1).archs[0], until=2))


def test_a_training_that_takes_too_long_fails(tiny: Space, tmp_path: Path) -> None:
    said = _proxy(tiny, tmp_path, trial_seconds=1e-9)(_batch(tiny, 2))
    assert set(said.errors) == {0, 1}
    assert "0 of 1 epochs were done" in said.errors[0]


def test_a_resolution_of_its_own_is_trained_at(tiny: Space, tmp_path: Path) -> None:
    proxy = _proxy(tiny, tmp_path, resolution=16)
    assert proxy._setup.prepared(_batch(tiny, 1).archs[0]).resolution == 16
    assert "at 16 px" in proxy.note
    assert "resolution 16" in str(proxy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": ""}, "needs data to train on"),
        ({"data": "imagefolder:/nowhere"}, "/nowhere"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"eta": 1}, "eta must be 2 or more"),
        ({"resolution": 4}, "8 pixels at least"),
        ({"data": "shapes:count=19"}, "count must be 20 or more"),
        ({"recipe": "quik"}, "did you mean quick"),
        ({"lr": -1.0}, "lr must be a number above 0"),
    ],
)
def test_bad_options_are_refused(
    tiny: Space, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(NasError, match=message):
        _proxy(tiny, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_options_come_from_text(tiny: Space) -> None:
    plugin = Plugin.parse("proxy:epochs=2,rungs=1,resolution=16,recipe=adamw")
    made = plugins.create("evaluators", plugin, tiny, data=DATA, seed=3, out=None, runner=None)
    assert "adamw epochs 2 of eta 3 resolution 16" in str(made)
    assert str(made).endswith("seed 3")


def test_a_recipe_with_options_counts_with_its_content(tiny: Space, tmp_path: Path) -> None:
    texts = [str(_proxy(tiny, tmp_path, recipe=f"quick:ema={ema}")) for ema in (0.9, "9e-1", 0.8)]
    assert texts[0] == texts[1] != texts[2]


def test_a_resolution_too_small_for_the_strides_is_refused() -> None:
    with pytest.raises(NasError, match="a resolution of 16 is too small"):
        create(load_space("mnasnet_b0"), data=DATA, resolution=16)


def test_batches_too_small_for_the_resolution_are_refused() -> None:
    with pytest.raises(NasError, match="cannot train on one image at a time at a resolution of 32"):
        create(load_space("mnasnet_b0"), data=DATA, resolution=32, batch=1)


def test_trainings_begin_with_what_fits_of_a_relative(tiny: Space, tmp_path: Path) -> None:
    relative, images = tmp_path / "relative", "shapes:count=400,difficulty=0,classes=3"
    candidates = _batch(tiny, 2)
    arch = tiny.decode_row(candidates.picks[0])
    top1 = train(arch, load_data(images), adapt(find_recipe("auto"), epochs=6), out=relative).top1
    given = {"data": images, "epochs": 1, "rungs": 1, "recipe": "auto:lr=1e-6"}
    alone = _proxy(tiny, tmp_path / "a", **given)
    heirs = _proxy(tiny, tmp_path / "b", **given, inherit=str(relative))
    assert str(heirs).startswith(f"{alone} inherit ")
    assert f" from weights of {relative};" in heirs.note
    assert heirs.note.endswith(f"--data {images} --inherit {relative}")
    assert "inherit" not in alone.note
    first = [one(candidates).metrics["top1_proxy"][0] for one in (alone, heirs)]
    assert first[0] < first[1] == pytest.approx(top1, abs=0.1)  # so little is learned in an epoch


def test_trainings_begin_with_their_part_of_a_supernet(tiny: Space, tmp_path: Path) -> None:
    images = "shapes:count=400,difficulty=0,classes=3"
    job = plan_supernet(tiny, load_data(images), adapt(find_recipe("auto"), epochs=8))
    train_supernet(job, str(supernets.SPACE), tmp_path / "sn")
    candidates = _batch(tiny, 2)
    given = {"data": images, "epochs": 1, "rungs": 1, "recipe": "auto:lr=1e-6"}
    alone = _proxy(tiny, tmp_path / "a", **given)
    heirs = _proxy(tiny, tmp_path / "b", **given, inherit=str(tmp_path / "sn"))
    assert str(heirs).startswith(f"{alone} inherit ")
    first, second = (one(candidates).metrics["top1_proxy"] for one in (alone, heirs))
    assert (second > first + 0.1).all()  # so little is learned in an epoch
    with pytest.raises(NasError, match="is a supernet of space tiny, not of mbconv_64"):
        create(load_space("mbconv_64"), data=images, inherit=str(tmp_path / "sn"))


def test_its_images_are_split_as_nas_train_and_nas_eval_split_them(tiny: Space) -> None:
    assert create(tiny, data=DATA, seed=5)._setup.data.fingerprint == load_data(DATA).fingerprint


SCENES = "digits_scenes:images=24,classes=2"


def test_detectors_are_scored_by_their_average_precision(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    head = head_of("ssdlite:resolution=64", SCENES)
    assert str(head) == "ssdlite:classes=2,resolution=64"
    space = head.searched(load_space("mbconv_64"))
    detectors, runner = Detectors(head=head, space=space), Made()
    proxy = create(
        space, data=SCENES, epochs=2, rungs=2, eta=2, out=Place(tmp_path), runner=runner,
        detectors=detectors,
    )  # fmt: skip
    batch = Candidates(space=space, picks=_batch(space, 4).picks, head=head)
    said = proxy(batch)
    assert proxy.provides == ("map", "epochs")
    assert proxy.note.startswith(f"map is the average precision on {SCENES} after 2 epochs")
    assert said.metrics["map"].shape == (4,)
    assert all(segment.arch.detector for segment in runner.segments)
    assert '"map":' in (tmp_path / FOLDER / LOG).read_text().splitlines()[1]
    again = proxy(batch)
    assert again.metrics["map"].tolist() == said.metrics["map"].tolist()
    assert len(runner.segments) == 6


@pytest.mark.parametrize(
    ("head", "data", "message"),
    [
        ("ssdlite", DATA, "shapes.* has labels of whole images; a detector needs boxes"),
        ("ssdlite:classes=3", SCENES, "is for 3 classes, and digits_scenes.* has 2; leave"),
    ],
)
def test_data_that_do_not_fit_a_head_are_refused(head: str, data: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        head_of(head, data)


def test_a_classifier_is_not_trained_on_boxes(tiny: Space, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="has boxes; a classifier needs a label for each image"):
        _proxy(tiny, tmp_path, data=SCENES)


def _in_both(space: Space, count: int) -> Candidates:
    """Return some candidates in fp32, and the same in int8."""
    once = _batch(space, count).picks
    int8 = np.repeat([False, True], count)
    return Candidates(space=space, picks=np.concatenate([once, once]), int8=int8)


def test_candidates_for_int8_are_trained_apart(tiny: Space, tmp_path: Path) -> None:
    runner = Made()
    proxy = _proxy(tiny, tmp_path, runner=runner, rungs=1, int8=True)
    said = proxy(_in_both(tiny, 2))
    assert [segment.int8 for segment in runner.segments] == [False, False, True, True]
    assert not said.errors
    assert "in int8 after quantization as onnxruntime runs it" in proxy.note
    assert str(proxy).endswith(" int8")
    assert proxy(_in_both(tiny, 2)).metrics["top1_proxy"].tolist() == [*said.metrics["top1_proxy"]]
    assert len(runner.segments) == 4  # the log has all of them


def test_accuracy_in_int8_is_measured_after_quantization(tiny: Space, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    proxy = _proxy(tiny, tmp_path, int8=True, epochs=2, rungs=1)
    said = proxy(_in_both(tiny, 1))
    assert not said.errors
    plain, whole = said.metrics["top1_proxy"]
    assert abs(plain - whole) < 0.2  # two trainings alike, one of them quantized
    folders = sorted(path.name for path in (tmp_path / FOLDER).iterdir() if path.is_dir())
    assert folders[1] == f"{folders[0]}-int8"
