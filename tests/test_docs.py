"""The documentation: blocks of code run, commands are valid, links lead somewhere."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_blocks import BLOCKS, PAGES, ROOT, Block, blocks_of, commands_of, parsed, resolved

from nas.core import plugins
from nas.core.plugins import Plugin

SITE = (*PAGES, *sorted(ROOT.glob("*/README.md")), *sorted(ROOT.glob("experiments/*/README.md")))
LANGUAGES = {"", "sh", "console", "python", "pycon", "yaml", "text", "{toctree}", "{eval-rst}"}
KINDS = {
    "evaluator": "evaluators", "strategy": "strategies", "runner": "runners", "data": "datasets",
    "backend": "backends", "dialect": "dialects", "format": "exporters",
}  # fmt: skip
OTHER = ("train",)
"""An evaluator of `nas scale search` that searches do not have."""

COMMANDS = [
    (f"{block.name} {command}", command)
    for page in dict.fromkeys(SITE)
    for block in blocks_of(page)
    if block.language in ("", "sh", "console")
    for command in commands_of(block)
]


Nas = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How the blocks of a page are run: shortened by `edits`, after calling `prepare` in its
    folder."""

    edits: tuple[tuple[str, str], ...] = ()
    prepare: Callable[[Path], None] | None = None
    slow: bool = False


def images(folder: Path) -> None:
    """Write a few images of two classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        for place, name in enumerate(("dark", "bright")):
            (folder / "images" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(120 * place, 120 * place + 120, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "images" / split / name / f"{i}.png")


TINY = str(ROOT / "tests/data/tiny.yaml")
MEASURED = ("--out my_cpu.yaml", "--out my_cpu.yaml --rounds 2 --networks 2")
RUNS = {
    "README.md": Run(edits=(("trials=10_000", "trials=300"),)),
    "docs/tutorials/quickstart.md": Run(
        edits=(
            ("--out runs/first", "--out runs/first --trials 300"),
            ("mobilenet_v3_small@0.5 --data", "mobilenet_v3_small@0.25 --data"),
            ("--epochs 20", "--epochs 1"),
            ("trials=1_000", "trials=100"),
        ),
    ),
    "docs/tutorials/space.md": Run(edits=(("--trials 2000", "--trials 200"),)),
    "docs/tutorials/plugins.md": Run(edits=(("--minutes 1", "--rounds 2"),)),
    "docs/tutorials/cpu_and_images.md": Run(
        edits=(
            MEASURED,
            ("--space mbconv_64", f"--space {TINY}"),
            ("epochs=9", "epochs=2,rungs=1,resolution=32"),
            ("--trials 30", "--trials 3"),
            ("'latency_ms<=0.5'", "'latency_ms<=5'"),
            ("--epochs 30", "--epochs 1"),
            ("--out runs/int8", "--out runs/int8 --images 16 --rounds 2"),
            ("train runs/mine:best", "train mobilenet_v3_small@0.25 --resolution 32"),
            (
                "--latency-table my_cpu.yaml --target-ms 0.3",
                "--latency-table pixel1 --target-ms 0.21 --final-epochs 0 --measure-rounds 1",
            ),
        ),
        prepare=images,
        slow=True,
    ),
    "docs/tutorials/detector.md": Run(
        edits=(
            ("images=400", "images=40"),
            ("--epochs 30", "--epochs 1"),
            ("--trials 3000", "--trials 100"),
        ),
        slow=True,
    ),
    "docs/tutorials/phone.md": Run(
        edits=(
            ("--out bundle.zip", "--out bundle.zip --networks 2"),
            ("--space mbconv_64", f"--space {TINY}"),
            ("--out samples.jsonl", "--out samples.jsonl --rounds 2"),
            ("--trials 2000", "--trials 100"),
        ),
        slow=True,
    ),
    "docs/tutorials/cluster.md": Run(
        edits=(
            ("--data digits", "--data shapes:count=40,classes=2"),
            ("epochs=3", "epochs=1,rungs=1"),
            ("--trials 6", "--trials 2"),
        ),
        slow=True,
    ),
    "docs/reference/files.md": Run(
        edits=(("trials: 1000", "trials: 200"), ("trials=400", "trials=100"))
    ),
    "docs/integrations.md": Run(
        edits=(("n_trials=30", "n_trials=9"), ("num_samples=12", "num_samples=3")), slow=True
    ),
    "docs/python.md": Run(edits=(("trials=10_000", "trials=300"),)),
}


def run_languages(page: Path) -> set[str]:
    """Return the languages of the blocks that are run; cluster/ has commands for a cluster."""
    return {"sh", "python", "pycon"} if page in PAGES else {"python", "pycon"}


TO_RUN = {
    str(page.relative_to(ROOT)): page
    for page in dict.fromkeys(SITE)
    if any(block.language in run_languages(page) for block in blocks_of(page))
}


def marked(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.torch, *([pytest.mark.slow] if RUNS.get(name, Run()).slow else [])]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marked(name)) for name in TO_RUN])
def test_the_blocks_of_a_page_run_in_their_order(name: str, tmp_path: Path, nas: Nas) -> None:
    pytest.importorskip("torch")
    how = RUNS.get(name, Run())
    if how.prepare:
        how.prepare(tmp_path)
    blocks, scope = blocks_of(TO_RUN[name]), {"__name__": "__main__"}
    text = "".join(block.text for block in blocks)
    assert [old for old, _ in how.edits if old not in text] == []
    for block in blocks:
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(shortened(block, how), encoding="utf-8")
        elif block.language in run_languages(block.page):
            run_block(block, shortened(block, how), scope, nas)


def shortened(block: Block, how: Run) -> str:
    text = block.text
    for old, new in how.edits:
        text = text.replace(old, new)
    return text


def run_block(block: Block, text: str, scope: dict[str, object], nas: Nas) -> None:
    """Run the text of one block, in the working folder."""
    if block.language == "sh":
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("nas "):
                reply = nas(*shlex.split(line)[1:])
                assert reply.code == 0, f"{block.name}: {line}\n{reply.err}"
            else:
                words = [sys.executable if word == "python" else word for word in shlex.split(line)]
                subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    elif block.language == "python":
        exec(compile("\n" * block.line + text, str(block.page), "exec"), scope)
    else:
        case = doctest.DocTestParser().get_doctest(text, scope, block.name, None, block.line)
        said: list[str] = []
        doctest.DocTestRunner().run(case, out=said.append, clear_globs=False)
        scope.update(case.globs)
        assert said == []


def test_pages_that_run_commands_say_how() -> None:
    found = {
        name
        for name, page in TO_RUN.items()
        if "sh" in run_languages(page) and any(b.language == "sh" for b in blocks_of(page))
    }
    assert found <= set(RUNS)
    assert set(RUNS) <= set(TO_RUN)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_has_a_language_that_is_known(block: Block) -> None:
    assert block.language in LANGUAGES
    assert block.language != "console" or block.text.startswith("$ nas ")


def test_blocks_of_yaml_are_yaml() -> None:
    found = [block for page in dict.fromkeys(SITE) for block in blocks_of(page)]
    blocks = [block for block in found if block.language == "yaml"]
    assert len(blocks) > 3
    for block in blocks:
        assert isinstance(yaml.safe_load(block.text), dict | list), block.name


@pytest.mark.parametrize("command", [c for _, c in COMMANDS], ids=[n for n, _ in COMMANDS])
def test_a_command_has_options_and_plugins_that_exist(command: str) -> None:
    found = parsed(command)
    for option, kind in KINDS.items():
        value = found.get(option)
        if value in OTHER:
            continue
        if isinstance(value, str) and value:
            check_plugin(kind, value)


def check_plugin(kind: str, text: str) -> None:
    plugin = Plugin.parse(text)
    if "." in plugin.name:
        return
    assert plugin.name in plugins.available(kind), text
    assert [key for key in plugin.options if not plugins.takes(kind, plugin.name, key)] == [], text


def links(page: Path) -> Iterator[str]:
    """Yield the targets of links and pictures of a page that are no URLs, outside of its code."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if "://" not in target:
            yield target


@pytest.mark.parametrize("page", dict.fromkeys(SITE), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        to = (page.parent / path) if path else page
        assert to.exists(), target
        if anchor:
            assert anchor in anchors(to), target


def anchors(page: Path) -> set[str]:
    """Return the names by which the headings of a page are linked."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_command_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert ".. click:: nas.cli:nas" in page
    assert shlex.split(resolved("nas scale efficientnet_b0")[0].name or "") == ["scale"]


def test_the_reference_lists_every_setting_of_a_search() -> None:
    from dataclasses import fields

    from nas.searching.config import SearchConfig

    page = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")
    table = page.split("| key | default | meaning |")[1].split("\n\n")[0]
    named = set(
        re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines() if row))
    )
    assert named == {field.name for field in fields(SearchConfig)}
