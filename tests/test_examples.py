"""The examples: images are prepared as in a training, and commands and options exist."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest

from nas import cli

Image = pytest.importorskip("PIL.Image")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def classify() -> ModuleType:
    spec = importlib.util.spec_from_file_location("classify", EXAMPLES / "classify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["plain.png", "turned.jpg", "transparent.png", "grey.png"])
def test_an_image_is_prepared_as_in_a_training(
    classify: ModuleType, kind: str, tmp_path: Path
) -> None:
    from nas.training.datasets._pictures import square

    rng, more = np.random.default_rng(0), {}
    pixels = rng.integers(0, 256, (40, 60, 4), dtype=np.uint8)
    image = Image.fromarray(pixels[..., :3])
    if kind == "turned.jpg":
        exif = Image.Exif()
        exif[274] = 6
        more = {"exif": exif}
    elif kind == "transparent.png":
        image = Image.fromarray(pixels)
    elif kind == "grey.png":
        image = Image.fromarray(pixels[..., 0])
    image.save(tmp_path / kind, **more)
    facts = {"resolution": "24", "mean": [0.5, 0.4, 0.3], "deviation": [0.2, 0.3, 0.4]}
    found = classify.prepared(tmp_path / kind, facts)
    trained_on = square(tmp_path / kind, 24).transpose(1, 2, 0) / 255
    wanted = (trained_on - np.array(facts["mean"])) / np.array(facts["deviation"])
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 0.03  # a step of a byte is 0.02


def test_a_folder_without_images_is_said(classify: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no images; expected a folder"):
        classify.main(tmp_path / "model.onnx", tmp_path)


def test_the_whole_job_names_commands_and_options_that_exist() -> None:
    script = EXAMPLES / "edge_job.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"(?:^|\|\| )nas ((?:[a-z]+ )+)(.*)", text, re.MULTILINE)
    assert len(commands) >= 7
    for words, rest in commands:
        command: click.Command | None = cli.nas
        for word in words.split():
            context = click.Context(command or cli.nas)
            inner = command.get_command(context, word) if isinstance(command, click.Group) else None
            command = inner or command
        assert command is not None
        flags = {
            flag for option in command.params for flag in (*option.opts, *option.secondary_opts)
        }
        assert set(re.findall(r" (--[a-z-]+)", f" {rest}")) <= flags
