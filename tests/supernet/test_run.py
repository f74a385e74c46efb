"""Supernets are trained, resumed and refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import supernets  # noqa: E402

from nas.core.data import read_mapping  # noqa: E402
from nas.core.errors import BadFile, NasError, NotInSpace, RunError  # noqa: E402
from nas.core.run_folder import SUPERNET, kind_of  # noqa: E402
from nas.network.blocks import Architecture  # noqa: E402
from nas.network.checkpoint import LAST, SUFFIX, load_checkpoint  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.space.file import load_space, space_from_mapping  # noqa: E402
from nas.space.space import Space  # noqa: E402
from nas.supernet import run  # noqa: E402
from nas.supernet.calibration import measure_statistics  # noqa: E402
from nas.supernet.extract import save_checkpoint  # noqa: E402
from nas.supernet.find import load_supernet  # noqa: E402
from nas.supernet.layers import key_of  # noqa: E402
from nas.supernet.sandwich import Sharing  # noqa: E402
from nas.supernet.scoring import Scorer  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.evaluate import OutOfMemory, score  # noqa: E402
from nas.training.trained import network_of  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return supernets.trained(tmp_path_factory.mktemp("runs") / "sn", epochs=2)


def some(space: Space, seed: int = 0) -> Architecture:
    return space.decode_row(space.sample_matrix(np.random.default_rng(seed), 1)[0])


def test_a_resumed_training_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    job = supernets.job(epochs=2)
    short = replace(job, options=replace(job.options, until=1))
    assert not run.train_supernet(short, str(supernets.SPACE), tmp_path / "sn").finished
    resumed = run.train_supernet(job, str(supernets.SPACE), tmp_path / "sn")
    assert resumed.finished
    assert resumed.epochs == 2
    one, other = load_supernet(str(folder)), load_supernet(str(tmp_path / "sn"))
    assert all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_the_weights_of_the_largest_network_change(folder: Path) -> None:
    shared = supernets.job(epochs=2).shared
    before, after = shared.build(0).state_dict(), load_supernet(str(folder)).weights
    keys = {key_of(unit, layer) for unit in lower(shared.largest) for layer in unit.layers}
    own = [n for n in after if n.endswith(".weight") and n.removesuffix(".weight") in keys]
    assert len(own) > 5
    assert not [name for name in own if np.array_equal(after[name], before[name].numpy())]


def test_a_folder_of_a_supernet_is_known(folder: Path) -> None:
    assert kind_of(folder) is SUPERNET
    with pytest.raises(NasError, match="nas supernet extract"):
        load_checkpoint(str(folder))


def test_other_settings_are_refused(folder: Path) -> None:
    job = supernets.job(epochs=2, sharing=Sharing(kernel="transform"))
    with pytest.raises(RunError, match="kernel is 'crop', not 'transform'"):
        run.train_supernet(job, str(supernets.SPACE), folder)


def test_a_network_has_its_own_statistics(folder: Path) -> None:
    found, data = load_supernet(str(folder)), load_data(supernets.DATA)
    scorer = Scorer(found, data, device="cpu", calibration=1, batch=32)
    arch = some(found.space)
    network = scorer.network(arch)
    images = scorer._calibration.images(32, torch.device("cpu"))
    assert len(images) == 1
    conv = network.stem[0][0]
    with torch.no_grad():
        maps = torch.nn.functional.conv2d(images[0], conv.weight, stride=2, padding=1)
    assert torch.allclose(conv.norm.running_mean, maps.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(conv.norm.running_var, maps.var((0, 2, 3)), rtol=1e-4)


def test_statistics_are_means_over_batches() -> None:
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    measure_statistics(network, [torch.full((2, 1, 1, 1), 1.0), torch.full((2, 1, 1, 1), 4.0)])
    assert network[0].running_mean.item() == 2.5
    assert not network.training
    assert network[0].momentum == 0.1


def test_an_extracted_network_scores_the_same_everywhere(folder: Path, tmp_path: Path) -> None:
    found, data = load_supernet(str(folder)), load_data(supernets.DATA)
    scorer = Scorer(found, data, device="cpu", batch=32)
    arch = some(found.space)
    save_checkpoint(tmp_path / "one.safetensors", scorer.checkpoint(arch))
    again = load_checkpoint(str(tmp_path / "one.safetensors"))
    assert again.top1 == scorer.top1(arch)
    assert score(network_of(again), data.val, data, side=32).top1 == again.top1
    assert [u.name for u in lower(again.arch)] == [u.name for u in lower(arch)]


def test_each_network_is_scored_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_supernet(str(folder))
    scorer = Scorer(found, load_data(supernets.DATA), device="cpu", batch=32)
    first = scorer.top1(some(found.space))
    monkeypatch.setattr(scorer, "_score", lambda *_: 1 / 0)
    assert scorer.top1(some(found.space)) == first


def test_a_network_of_another_space_is_refused_by_its_choice(folder: Path) -> None:
    found = load_supernet(str(folder))
    picks = {**found.space.unpack(np.zeros(len(found.space.columns), np.uint8))}
    arch = found.space.decode(picks)
    block = replace(arch.stages[0][0], kernel=7)
    with pytest.raises(NotInSpace, match="kernel is 7, the nearest choice has"):
        found.subnet(replace(arch, stages=((block, *arch.stages[0][1:]), *arch.stages[1:])))


def test_another_space_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(NasError, match="a supernet of space tiny, not of mobilenetv3"):
        load_supernet(str(folder)).check_space(load_space("mobilenetv3"))


def test_data_of_other_classes_are_refused(folder: Path) -> None:
    with pytest.raises(NasError, match="tells 2 classes of shapes:count=64,classes=2 apart"):
        Scorer(load_supernet(str(folder)), load_data("shapes:count=64,classes=3"))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = supernets.trained(tmp_path / "sn")
    path = folder / f"best{SUFFIX}"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadFile, match="damaged"):
        load_supernet(str(folder))
    path.unlink()
    with pytest.raises(RunError, match="no trained weights yet"):
        load_supernet(str(folder))
    last = folder / f"{LAST}{SUFFIX}"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(BadFile, match="damaged"):
        run.train_supernet(supernets.job(), str(supernets.SPACE), folder)


def test_a_changed_file_of_the_space_is_refused(tmp_path: Path) -> None:
    folder = supernets.trained(tmp_path / "sn")
    text = (folder / "space.yaml").read_text(encoding="utf-8")
    (folder / "space.yaml").write_text(text.replace("[8, 12]", "[8, 16]"), encoding="utf-8")
    with pytest.raises(RunError, match="has changed since"):
        load_supernet(str(folder))


def test_memory_names_the_largest_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object, **__: object) -> None:
        raise OutOfMemory(
            "out of memory with batches of 16 images of 32x32; use `batch=8` `accumulate=2`, or a "
            "lower `resolution`"
        )

    monkeypatch.setattr(run, "run_loop", short)
    with pytest.raises(OutOfMemory) as caught:
        run.train_supernet(supernets.job(), str(supernets.SPACE), tmp_path / "sn")
    assert str(caught.value) == (
        "the largest network of space tiny does not fit: out of memory with batches of 16 images "
        "of 32x32; use `batch=8` `accumulate=2`, or smaller resolutions, widths and expansions in "
        "the space"
    )


def test_calibration_needs_no_more_images_at_once_than_the_training() -> None:
    job = supernets.job()
    images = job.shared.calibration.images(32, torch.device("cpu"))
    assert max(map(len, images)) <= min(64, job.recipe.batch)
    assert sum(map(len, images)) >= min(1024, len(job.data.train) - job.recipe.batch)


def test_a_resolution_that_cannot_train_is_refused() -> None:
    content = read_mapping(supernets.SPACE)
    stages = [{**row, "stride": 16} for row in content["stages"]]
    space = space_from_mapping({**content, "stages": stages, "resolution": [32, 64]})
    data, recipe = supernets.job().data, supernets.job().recipe
    with pytest.raises(NasError, match=r"a resolution of 32 is too small: at stages.1.0"):
        run.plan_supernet(space, data, recipe)
