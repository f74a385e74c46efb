"""`nas train`, `nas eval` and the export of a trained network."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from safetensors.torch import save_file  # noqa: E402

from nas.cli.train import _default_folder  # noqa: E402
from nas.core.data import read_mapping, to_yaml  # noqa: E402
from nas.network.blocks import from_mapping as arch  # noqa: E402
from nas.network.checkpoint import load_checkpoint  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.training.task import for_classes  # noqa: E402

pytestmark = pytest.mark.torch

Nas = Callable[..., Any]

SMALL = {
    "schema": 1,
    "name": "small",
    "resolution": 24,
    "stem": [{"kind": "conv", "in_channels": 3, "out_channels": 16, "kernel": 3, "stride": 2}],
    "stages": [
        [
            {"kind": "mbconv", "in_channels": 16, "out_channels": 24, "hidden_channels": 48,
             "kernel": 3, "stride": 2, "se_channels": 8},
        ]
    ],
    "head": [
        {"kind": "pool", "in_channels": 24, "out_channels": 24},
        {"kind": "linear", "in_channels": 24, "out_channels": 1000, "act": "none"},
    ],
}  # fmt: skip
WORDS = ("train", "small.yaml", "--data", "digits", "--recipe", "quick", "--resolution", "16",
         "--epochs", "2", "--device", "cpu")  # fmt: skip


@pytest.fixture(autouse=True)
def _architecture(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(to_yaml(SMALL))


def test_train_eval_and_export_agree(nas: Nas) -> None:
    reply = nas(*WORDS, "--out", "run", "--json")
    assert reply.code == 0, reply.err
    trained = json.loads(reply.out)
    assert list(trained)[-3:] == ["top1", "epochs", "seconds"]
    assert trained["epochs"] == 2
    assert 0.15 < trained["top1"] <= 1
    scored = json.loads(nas("eval", "run", "--data", "digits", "--json").out)
    assert (scored["top1"], scored["images"]) == (trained["top1"], 359)
    assert nas("eval", "run:last", "--data", "digits", "--split", "test").code == 0

    reply = nas("export", "run", "--out", "x.onnx")
    assert (reply.code, reply.err) == (
        0, "wrote x.onnx with the weights of run/best.safetensors\n"
    )  # fmt: skip
    assert onnx_top1("x.onnx") == trained["top1"]


def onnx_top1(path: str) -> float:
    """Score an exported network by its file alone, as a user would."""
    runtime = pytest.importorskip("onnxruntime")
    from nas.training.data import load_data

    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == list("0123456789")
    mean, deviation = (
        np.array(json.loads(said[key]), np.float32)[:, None, None] for key in ("mean", "deviation")
    )
    val = load_data("digits").val
    side = int(said["resolution"])
    pixels = val.read(np.arange(len(val)), side)
    images = (pixels.astype(np.float32) / 255 - mean) / deviation
    logits = session.run(["logits"], {"input": images})[0]
    return float((logits.argmax(1) == val.labels).mean())


def test_formats_without_weights_take_the_architecture(nas: Nas) -> None:
    nas(*WORDS, "--out", "run", "--epochs", "1")
    assert json.loads(nas("export", "run", "--format", "yaml", "--json").out)["path"] == "run.yaml"
    reply = nas("export", "run:last", "--format", "yaml", "--json")
    assert json.loads(reply.out)["path"] == "run-last.yaml"
    shown = json.loads(nas("show", "run", "--json").out)
    assert shown["fingerprint"] == json.loads(reply.out)["fingerprint"]


def test_tflite_takes_the_weights_along(nas: Nas) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    from nas.training.confusion import score_checkpoint
    from nas.training.data import load_data

    nas(*WORDS, "--out", "run")
    assert nas("export", "run", "--format", "tflite:batch=359", "--out", "x.tflite").code == 0
    data = load_data("digits")
    pixels = data.val.read(np.arange(359), 16).transpose(0, 2, 3, 1) / np.float32(255)
    images = (pixels - np.float32(data.mean)) / np.float32(data.deviation)
    runner = litert.Interpreter("x.tflite").get_signature_runner()
    logits = runner(input=images.astype(np.float32))["logits"]
    top1 = float((logits.argmax(1) == data.val.labels).mean())
    assert top1 == score_checkpoint("run", data).value


def test_a_recipe_may_be_a_file_whose_content_counts(nas: Nas, tmp_path: Path) -> None:
    mine = nas("recipe", "show", "quick:epochs=1,flip=true")
    (tmp_path / "mine.yaml").write_text(mine.out)
    words = (*WORDS[:4], "--resolution", "16", "--device", "cpu")
    first = nas(*words, "--recipe", "mine.yaml", "--out", "run")
    assert first.code == 0, first.err
    assert nas(*words, "--recipe", "quick:epochs=1,flip=true", "--out", "run").out == first.out
    (tmp_path / "mine.yaml").write_text(mine.out.replace("lr: 0.004", "lr: 0.01"))
    changed = nas(*words, "--recipe", "mine.yaml", "--out", "run")
    assert "another recipe: its lr is 0.004, not 0.01; give another --out" in changed.err
    names = [_default_folder(arch(SMALL), {"recipe": text, "accumulate": None, "data": "digits"})
             for text in ("mine.yaml", "quick:epochs=1,flip=true,lr=0.01", "quick")]  # fmt: skip
    assert names[0] == names[1] != names[2]
    assert nas(*words, "--recipe", "mine.yaml:clip=1", "--out", "with").code == 0
    (tmp_path / "mine.yaml").write_text(mine.out)
    changed = nas(*words, "--recipe", "mine.yaml:clip=1", "--out", "with")
    assert "another recipe: its lr is 0.01, not 0.004" in changed.err


def test_the_same_command_finds_its_folder_again(nas: Nas) -> None:
    first = nas(*WORDS, "--epochs", "1")
    assert first.code == 0, first.err
    assert first.out.startswith("top1 0.")
    assert "nas eval runs/train-small-digits-" in first.err
    again = nas(*WORDS, "--epochs", "1")
    assert again.out == first.out
    assert len(list(Path("runs").iterdir())) == 1


def test_a_training_folder_is_fine_tuned_from_its_best_weights(nas: Nas) -> None:
    before = json.loads(nas(*WORDS, "--out", "run", "--json").out)
    gentle = ("train", "run", *WORDS[2:], "--epochs", "1", "--lr", "1e-7", "--json")
    reply = nas(*gentle, "--out", "tuned")
    assert reply.code == 0, reply.err
    assert reply.err.startswith(
        f"fine-tuning run/best.safetensors, top1 {before['top1']:.4f} on digits; --from-scratch"
    )
    assert json.loads(reply.out)["top1"] == pytest.approx(before["top1"], abs=0.06)
    again = nas(*gentle, "--out", "tuned")
    assert json.loads(again.out)["top1"] == json.loads(reply.out)["top1"]
    fresh = nas(*gentle, "--from-scratch", "--out", "fresh")
    assert "fine-tuning" not in fresh.err
    assert json.loads(fresh.out)["top1"] < before["top1"] - 0.06


def test_a_training_is_resumed_also_where_its_folder_is_the_architecture(nas: Nas) -> None:
    before = json.loads(nas(*WORDS, "--out", "run", "--json").out)
    again = nas("train", "run", *WORDS[2:], "--out", "run", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["top1"] == before["top1"]


def test_fine_tuning_to_other_classes_makes_a_new_classifier(nas: Nas) -> None:
    assert nas(*WORDS, "--out", "run").code == 0
    words = ("--data", "shapes:count=60,classes=3", "--recipe", "quick", "--device", "cpu")
    reply = nas("train", "run", *words, "--epochs", "1", "--lr", "1e-9", "--out", "shapes")
    assert reply.code == 0, reply.err
    assert "with a new classifier for other classes" in reply.err
    old, new = (load_checkpoint(name).weights for name in ("run", "shapes"))
    assert new["head.1.linear.weight"].shape == (3, 24)
    assert np.allclose(new["stem.0.conv.weight"], old["stem.0.conv.weight"], atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--recipe", "adam"), "unknown recipe 'adam'; did you mean adamw?"),
        (("--data", "digit"), "did you mean digits"),
        (("--resolution", "1"), "a resolution of 1 is too small: at stem.0"),
        (("--device", "tpu!"), "unknown device 'tpu!'; there are: auto, cpu, cuda"),
        (("--teacher", "nobody"), "nobody is not a trained network; give a training folder"),
        (("--lr", "1e30"), "train again with a lower --lr"),
    ],
)
def test_mistakes_are_one_line(nas: Nas, words: tuple[str, ...], message: str) -> None:
    reply = nas(*WORDS, *words, "--out", "run")
    assert (reply.code, reply.out) == (2, "")
    assert message in reply.err
    assert len(reply.err.splitlines()) == 1


def test_eval_wants_a_trained_network(nas: Nas) -> None:
    reply = nas("eval", "mnasnet_a1", "--data", "digits")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "mnasnet_a1 is not a trained network" in reply.err
    missing = nas("eval", "gone.safetensors", "--data", "digits")
    assert missing.err == "error: gone.safetensors: No such file or directory\n"


MORE = (*WORDS[:-4], "--device", "cpu")


def test_more_epochs_extend_a_finished_training(nas: Nas, caplog: pytest.LogCaptureFixture) -> None:
    first = json.loads(nas(*MORE, "--epochs", "2", "--out", "run", "--json").out)
    words = ("train", "--out", "run", "--device", "cpu", "--json")
    longer = nas(*words, "--epochs", "4")
    assert longer.code == 0, longer.err
    (said,) = caplog.messages
    assert said.startswith("run: extending the training from 2 to 4 epochs; the learning rate ")
    result = json.loads(longer.out)
    assert (result["epochs"], result["recipe"], result["data"]) == (4, "quick", "digits")
    assert [e["top1"] for e in result["history"][:2]] == [e["top1"] for e in first["history"]]
    kept = read_mapping(Path("run/train.yaml"))
    assert (kept["recipe"]["epochs"], kept["extended"]) == (4, [{"epochs": 2, "done": 2}])
    again = nas(*MORE, "--epochs", "4", "--out", "run", "--json")
    assert json.loads(again.out)["top1"] == result["top1"]
    assert len(caplog.messages) == 1
    fewer = nas(*words, "--epochs", "3")
    assert "another recipe: its epochs is 4, not 3; give another --out" in fewer.err


@pytest.mark.parametrize("again", [("--recipe", "auto"), ()])
def test_a_recipe_that_follows_the_steps_is_kept_when_extended(
    nas: Nas, again: tuple[str, ...]
) -> None:
    words = ("train", "small.yaml", "--data", "shapes:count=60,classes=3", "--device", "cpu",
             "--resolution", "16", "--out", "run")  # fmt: skip
    assert nas(*words, "--epochs", "14").code == 0  # in 15, images would be cropped
    begun = read_mapping(Path("run/train.yaml"))["recipe"]
    assert nas(*words, *again, "--epochs", "15").code == 0
    kept = read_mapping(Path("run/train.yaml"))["recipe"]
    assert kept == {**begun, "epochs": 15, "warmup": 1.5, "decay_every": kept["decay_every"]}


def test_only_the_length_of_a_training_may_grow(nas: Nas) -> None:
    assert nas(*MORE, "--epochs", "1", "--out", "run").code == 0
    reply = nas(*MORE, "--epochs", "2", "--lr", "0.1", "--out", "run")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "is a training with another recipe: its" in reply.err


def test_a_fine_tuning_is_extended_by_its_own_folder(nas: Nas) -> None:
    assert nas(*MORE, "--epochs", "1", "--out", "run").code == 0
    assert nas("train", "run", *MORE[2:], "--epochs", "1", "--out", "tuned").code == 0
    for words in (("train",), ("train", "tuned", *MORE[2:])):
        reply = nas(*words, "--out", "tuned", "--epochs", "2", "--device", "cpu")
        assert reply.code == 0, reply.err


def test_a_relative_begins_with_the_weights_that_fit(nas: Nas, tmp_path: Path) -> None:
    assert nas(*MORE, "--epochs", "3", "--out", "base").code == 0
    wider = json.loads(json.dumps(SMALL))
    wider["stages"][0][0] |= {"hidden_channels": 64, "kernel": 5}
    (tmp_path / "wider.yaml").write_text(to_yaml(wider))
    words = ("train", "wider.yaml", *MORE[2:], "--epochs", "1")
    reply = nas(*words, "--inherit", "base", "--out", "heir", "--json")
    assert reply.code == 0, reply.err
    assert "beginning with weights of base for 100% of the parameters" in reply.err
    assert json.loads(reply.out)["top1"] > json.loads(nas(*words, "--json").out)["top1"]
    again = nas(*words, "--inherit", "base", "--out", "heir", "--json")
    assert json.loads(again.out)["top1"] == json.loads(reply.out)["top1"]
    other = nas(*words, "--inherit", "base", "--from-scratch")
    assert "--weights, --inherit and --from-scratch contradict each other" in other.err
    none = nas(*words, "--inherit", "nowhere")
    assert (none.code, len(none.err.splitlines())) == (2, 1)


def test_train_without_arch_wants_a_training_folder(nas: Nas) -> None:
    reply = nas("train", "--epochs", "2")
    assert "ARCH is missing, and there is no --out to continue; give ARCH and --data" in reply.err
    assert "new holds no training to continue" in nas("train", "--out", "new").err
    assert nas("train", "small.yaml").err.startswith("error: --data is missing")


def _tensors(**changes: Any) -> dict[str, Any]:
    units = lower(for_classes(arch(SMALL), 10))
    weights = {name: torch.tensor(value) for name, value in random_weights(units).items()}
    return {**weights, "stem.0.conv.norm.num_batches_tracked": torch.tensor(3), **changes}


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_plain_weights_are_where_a_training_begins(nas: Nas, name: str) -> None:
    weights = _tensors()
    if name == "w.pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, name)
    else:
        save_file(weights, name)
    gentle = (*MORE, "--epochs", "1", "--lr", "1e-9", "--weights", name, "--out", "run")
    reply = nas(*gentle)
    assert reply.code == 0, reply.err
    assert reply.err.startswith(f"fine-tuning the weights in {name}\n")
    kept = load_checkpoint("run").weights["head.1.linear.weight"]
    assert np.allclose(kept, weights["head.1.linear.weight"], atol=1e-6)


def test_plain_weights_of_other_classes_get_a_new_classifier(nas: Nas) -> None:
    torch.save(
        _tensors(**{"head.1.linear.weight": torch.ones(3, 24),
                    "head.1.linear.bias": torch.ones(3)}), "w.pth"
    )  # fmt: skip
    reply = nas(*MORE, "--epochs", "1", "--weights", "w.pth", "--out", "run")
    assert reply.code == 0, reply.err
    assert "w.pth, with a new classifier for the classes of the data" in reply.err


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stem.0.conv.weight": torch.ones(2)}, "has shape (2,), the network's has (16, 3, 3, 3)"),
        ({"features.0.weight": torch.ones(2)}, "tensor 'features.0.weight' is none of the network"),
        (_Code(), "wants to run code when it is read (posix.system), and is refused"),
        ({}, "w.pth has no tensor stem.0.conv.weight (and "),
        ({"epoch": 3}, "'epoch' is no tensor but int; save the weights alone"),
    ],
)
def test_plain_weights_that_do_not_fit_are_one_line(nas: Nas, content: Any, message: str) -> None:
    torch.save(content, "w.pth")
    reply = nas(*MORE, "--weights", "w.pth", "--out", "run")
    assert (reply.code, reply.out, len(reply.err.splitlines())) == (2, "", 1)
    assert message in reply.err
    assert not Path("ran").exists()
    assert not Path("run").exists()


def test_damaged_weights_are_one_line(nas: Nas) -> None:
    missing = nas(*MORE, "--weights", "none.pth", "--out", "run")
    assert missing.err == "error: none.pth: No such file or directory\n"
    for name in ("w.pth", "w.safetensors"):
        Path(name).write_bytes(b"\x80\x02nothing" * 9)
        reply = nas(*MORE, "--weights", name, "--out", "run")
        assert (reply.code, len(reply.err.splitlines())) == (2, 1)
        assert name in reply.err


def test_eval_says_the_accuracy_of_every_class(nas: Nas) -> None:
    assert nas(*WORDS, "--out", "run").code == 0
    words = ("eval", "run", "--data", "digits", "--device", "cpu")
    found = json.loads(nas(*words, "--json").out)
    counts = np.array(found["confusion"])
    assert counts.sum() == found["images"] == 359
    assert counts.diagonal().sum() / 359 == pytest.approx(found["top1"])
    for row, one in zip(counts, found["classes"], strict=True):
        assert row.sum() == one["images"]
        assert row[int(one["name"])] / row.sum() == pytest.approx(one["top1"])
    pytest.importorskip("matplotlib")
    reply = nas(*words, "--picture", "c.svg")
    assert "class  images  top1 %  taken for  times" in reply.out
    assert "picture: c.svg" in reply.err
    assert Path("c.svg").is_file()


def test_exports_say_how_images_become_their_input(nas: Nas) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("ai_edge_litert")
    assert nas(*WORDS, "--out", "run").code == 0
    assert nas("export", "run", "--format", "onnx:opset=18", "--out", "x.onnx").code == 0
    model = onnx.load("x.onnx")
    assert model.opset_import[0].version == 18
    said = {entry.key: entry.value for entry in model.metadata_props}
    reply = nas("export", "run", "--out", "x.yaml")
    assert reply.err == "wrote x.yaml, the architecture without its weights\n"
    reply = nas("export", "run", "--out", "x.tflite")
    assert reply.err.endswith("wrote x.tflite.json: how images become its input\n")
    beside = json.loads(Path("x.tflite.json").read_text())
    assert (said["layout"], beside["layout"]) == ("NCHW", "NHWC")
    for key in ("crop", "interpolation", "channel_order", "range"):
        assert said[key] == beside[key]
    assert (beside["resolution"], beside["classes"]) == (16, list("0123456789"))
    for key in ("mean", "deviation"):
        assert (
            json.loads(said[key]) == beside[key] == list(getattr(load_checkpoint("run").data, key))
        )


def test_pruning_wants_more_than_plain_weights(nas: Nas) -> None:
    torch.save(_tensors(), "w.pth")
    words = ("netadapt", "small.yaml", "--latency-table", "pixel1", "--target-ms", "1")
    reply = nas(*words, "--data", "digits", "--weights", "w.pth")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "nas train small.yaml --weights w.pth --data DATA --out FOLDER" in reply.err
