"""The lineage of a network: sentences from the folders of trainings, prunings and pipelines."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.core.errors import NasError, RunError
from nas.exporting.export import export
from nas.latency.file import load_table
from nas.network.checkpoint import Checkpoint, DataMetadata
from nas.network.lineage import Lineage
from nas.network.lowering import lower
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture, published_weights
from nas.pipeline.lineage import (
    card_notes,
    latency_sentences,
    lineage_before,
    lineage_of,
    with_card_notes,
)

NETWORK = {"name": "trained", "part": "trained", "path": "train"}


def write(folder: Path, name: str, *content: Mapping[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(one) for one in content]
    text = "\n".join(lines) + "\n" if name.endswith(".jsonl") else yaml.dump(dict(content[0]))
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def training(folder: Path, **more: Any) -> Path:
    recipe = {"name": "quick", "epochs": 1, "batch": 64}
    settings = {"schema": 1, "arch": {"name": "a"}, "data": {"name": "d"}, "recipe": recipe,
                "seed": 3, **more}  # fmt: skip
    return write(folder, "train.yaml", settings)


def pipeline(folder: Path, *networks: Mapping[str, str]) -> Path:
    write(folder, "pipeline.yaml", {
        "schema": 1, "data": "digits", "latency_table": "pixel1",
        "search": {"space": "mbconv", "trials": 10_000, "limit": ["latency_ms<=80"]},
        "train": {"recipe": "quick", "epochs": 20}, "netadapt": {"target_ms": 5.0},
    })  # fmt: skip
    done = {"stage": "train", "done": {"networks": list(networks)}}
    return write(folder, "pipeline.jsonl", {"schema": 1}, done)


def trained() -> Checkpoint:
    data = DataMetadata(
        name="d",
        fingerprint="0",
        classes=("a",),
        mean=(0.5, 0.5, 0.5),
        deviation=(0.2, 0.2, 0.2),
    )
    arch = load_architecture("mobilenet_v2")
    return Checkpoint(path=Path("x"), arch=arch, weights={}, data=data, top1=0.5)


def search(folder: Path, **changes: str) -> Path:
    settings = {"schema": 1, "space": "mbconv", "limit": ["latency_ms<=20"], "trials": 500,
                "latency_table": "pixel1"}  # fmt: skip
    return write(folder, "run.yaml", settings | changes)


def test_a_training_says_data_and_recipe(tmp_path: Path) -> None:
    folder = training(tmp_path / "t")
    text = (
        "The architecture a was trained by nas train on d: recipe quick, 1 epoch, batch size 64, "
        "seed 3."
    )
    assert lineage_of(str(folder)).sentences == (text,)
    (folder / "best.safetensors").touch()
    assert lineage_of(str(folder / "best.safetensors")).sentences == (text,)
    more = training(tmp_path / "u", weights={"name": "w"}, teacher={"name": "x"})
    text, begun = lineage_of(f"{more}:last").sentences
    assert text.startswith("The architecture a was trained from given weights by nas train on d")
    assert text.endswith("seed 3, taught by a larger network.")
    assert begun == "It began with weights of w."


def test_a_training_says_which_weights_it_began_with(tmp_path: Path) -> None:
    (known,) = published_weights("mobilenet_v2")[:1]
    published = f"{known.source}, published with {100 * known.top1:.1f} % top-1 on ImageNet"
    for name, shown in {
        str(known.source): f"{published} under {known.licence}",
        "timm:/home/someone/mine": "timm:mine",
        "runs/first": "first",
    }.items():
        folder = training(tmp_path / f"t{len(name)}", weights={"name": name})
        assert lineage_of(str(folder)).sentences[1:] == (f"It began with weights of {shown}.",)
    earlier = training(tmp_path / "earlier", weights={"fingerprint": "0"})
    assert len(lineage_of(str(earlier)).sentences) == 1


def test_a_pruning_says_from_what_to_what(tmp_path: Path) -> None:
    settings = {"schema": 1, "settings": {"target_ms": 5.5}, "arch": {"name": "a"},
                "data": {"name": "d"}, "table": {"name": "pixel1"}}  # fmt: skip
    text = "Pruned by NetAdapt from a to 5.5 ms, and fine-tuned on d."
    for name, begun in {
        "runs/a/best.safetensors": (),
        "timm:folder/mine": ("It began with weights of timm:mine.",),
    }.items():
        folder = write(tmp_path / "p", "run.yaml", {**settings, "weights": {"name": name}})
        found = lineage_of(str(folder))
        assert found.sentences == (text, *begun)
        assert found.table == "pixel1"
    (untrained,) = lineage_of(str(folder), trained=False).sentences
    assert untrained == "Pruned by NetAdapt from a to 5.5 ms."


def test_a_pipeline_says_what_led_to_its_network(tmp_path: Path) -> None:
    pruned = {"name": "pruned", "part": "pruned", "path": "netadapt"}
    big = {"name": "big", "part": "scaled", "path": "scale/big"}
    folder = pipeline(tmp_path / "p", NETWORK, pruned, big)
    search = "Found by a search of the space mbconv under latency_ms<=80, 10,000 trials, latency by"
    train = "Trained on digits: recipe quick, 20 epochs."
    for name, last in {
        "": "Pruned by NetAdapt to 5 ms.",
        ":trained": train,
        ":big": "Scaled from that network, as big.",
    }.items():
        found = lineage_of(f"{folder}{name}")
        assert found.sentences[0] == f"{search} pixel1."
        assert found.sentences[1] == train
        assert found.sentences[-1] == last
        assert found.table == "pixel1"


def test_a_network_of_a_search_is_found_without_a_training(tmp_path: Path) -> None:
    folder = search(tmp_path / "r")
    arch, text = load_architecture("mobilenet_v2"), f"{folder}:best"
    notes = card_notes(arch, text)
    (found,) = json.loads(notes["lineage"])
    assert found == (
        "Found by a search of the space mbconv under latency_ms<=20, 500 trials, latency by pixel1."
    )
    assert json.loads(notes["latency"])[0].startswith("64.")
    path = export(arch, tmp_path / "card", form="hub", notes=notes)
    card = (path / "README.md").read_text(encoding="utf-8")
    assert "64." in card
    assert "there are no weights here" in card
    assert "500 trials" in card


@pytest.mark.parametrize(
    "text", ["", "mobilenet_v2", "missing", "x.yaml", "arch.yaml", "archs/1.yaml"]
)
def test_what_only_lies_beside_settings_has_no_lineage(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search(Path())  # as for nas search --config run.yaml
    for name in ("x.yaml", "arch.yaml", "archs/1.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert lineage_of(text) == Lineage()
    assert lineage_before(text) == Lineage()


def test_a_solution_of_a_search_is_known_by_its_file_too(tmp_path: Path) -> None:
    folder = write(search(tmp_path / "r"), "journal.jsonl", {"schema": 1})
    (folder / "archs").mkdir()
    (folder / "archs" / "001.yaml").touch()
    found = lineage_of(str(folder / "archs" / "001.yaml"))
    assert found == lineage_of(f"{folder}:001")
    assert found.table == "pixel1"
    detector = lineage_of(f"ssdlite:{folder}:best")
    assert detector == found


def test_a_folder_at_a_url_is_read(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    settings = (training(tmp_path / "t") / "train.yaml").read_text()
    with fsspec.open("memory://lineage/t/train.yaml", "w") as file:
        file.write(settings)
    assert lineage_of("memory://lineage/t") == lineage_of(str(tmp_path / "t"))


def test_a_training_follows_its_weights_or_its_architecture(tmp_path: Path) -> None:
    found = {"sentences": ["Found somehow."], "table": "pixel2"}
    folder = str(training(tmp_path / "t", lineage=found))
    first, then = lineage_of(folder).sentences
    assert (first, then[:18]) == ("Found somehow.", "The architecture a")
    assert lineage_before(folder, weights=folder) == lineage_of(folder)
    assert lineage_before("mobilenet_v2", weights=folder) == lineage_of(folder)
    for words in ({}, {"weights": "timm:x"}, {"weights": "plain.safetensors"}):
        assert lineage_before(folder, **words) == Lineage(sentences=(first,), table="pixel2")
    relative = lineage_before(folder, weights=str(training(tmp_path / "u")), inherits=True)
    assert relative.sentences == (first,)

    from_scratch = lineage_of(f"{pipeline(tmp_path / 'p', NETWORK)}:trained", trained=False)
    assert len(from_scratch.sentences) == 1


def test_a_card_names_no_folders_of_the_machine(tmp_path: Path) -> None:
    recipe = {"name": "/home/me/mine.yaml:lr=0.01", "epochs": 1, "batch": 64}
    data, weights = {"name": "imagefolder:/home/me/pets"}, {"name": "/home/me/t/best.safetensors"}
    folder = training(tmp_path / "t", recipe=recipe, data=data, weights=weights)
    text, begun = lineage_of(str(folder)).sentences
    assert "on imagefolder:pets: recipe mine.yaml:lr=0.01, 1 epoch" in text
    assert begun == "It began with weights of t."
    folder = search(tmp_path / "s", space="/home/me/s.yaml", latency_table="/home/me/l.yaml")
    assert "space s.yaml under" in lineage_of(f"{folder}:best").sentences[0]
    assert "latency by l.yaml" in lineage_of(f"{folder}:best").sentences[0]
    arch = replace(trained().arch, resolution=32)
    known = replace(
        trained(),
        arch=arch,
        weights=random_weights(lower(arch)),
        data=replace(trained().data, name="imagefolder:/home/me/pets"),
    )
    card = export(arch, tmp_path / "card", form="hub", trained=known)
    for path in card.iterdir():
        assert b"home/me" not in path.read_bytes(), path.name


def test_weights_of_another_library_are_named() -> None:
    (text,) = lineage_of("timm:mobilenetv3_large_100.ra_in1k").sentences
    known = ", published with 75.8 % top-1 on ImageNet under apache-2.0"
    assert text == f"The weights are those of timm:mobilenetv3_large_100.ra_in1k{known}."
    assert lineage_of("torchvision:x.pth").sentences == (
        "The weights are those of torchvision:x.pth.",
    )


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", "train.yaml", {"schema": 1})
    with pytest.raises(RunError, match=r"train\.yaml is damaged"):
        lineage_of(str(folder))


def test_latency_has_device_and_interval() -> None:
    table = load_table("pixel1")
    first, *more = latency_sentences(table, load_architecture("mobilenet_v2"))
    assert first.startswith("64.")
    assert "ms on Google Pixel 1 with TensorFlow Lite of 2019" in first
    assert "in 90 % of cases. Predicted by the latency table pixel1." in first
    assert all(text.endswith(".") for text in more)


def test_a_checkpoint_gets_notes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = pipeline(tmp_path / "p", NETWORK)
    notes = with_card_notes(trained(), str(folder)).metadata
    assert "Pixel 1" in json.loads(notes["latency"])[0]
    assert len(json.loads(notes["lineage"])) == 2
    chosen = with_card_notes(
        trained(), str(training(tmp_path / "t")), latency_table="pixel3"
    ).metadata
    assert "Pixel 3" in json.loads(chosen["latency"])[0]
    with pytest.raises(NasError, match="unknown latency table 'pixel7'"):
        with_card_notes(trained(), "x", latency_table="pixel7")
    settings = yaml.safe_load((folder / "pipeline.yaml").read_text(encoding="utf-8"))
    write(folder, "pipeline.yaml", {**settings, "latency_table": "gone.yaml"})
    assert "latency" not in with_card_notes(trained(), str(folder)).metadata
    assert "the card says nothing of the latency: gone.yaml: no such file" in caplog.text
