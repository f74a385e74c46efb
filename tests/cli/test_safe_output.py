"""Output: the content of files is escaped on terminals, and writes stay in their folder."""

import io
import json
import logging
import os
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.cli._print import LogFormatter, print_json, print_table, put, say
from nas.cli._progress import progress
from nas.core.data import to_yaml
from nas.core.errors import NasError, RunError
from nas.core.storage import Place
from nas.exporting.export import export
from nas.network.blocks import to_mapping
from nas.network.zoo import load_architecture
from nas.report.page import Part, page
from nas.report.tables import Table
from nas.searching.runs.folder import find_architecture

EVIL = "\x1b]0;owned\x07\x1b[31mred\u202e../../evil" + "x" * 5000
SECRET = "s3://me:hunter2@host/run?token=abc123"

ROOT = Path(__file__).parents[2]

Nas = Callable[..., Any]


def _is_safe(text: str) -> bool:
    lines = text.removesuffix("\n").split("\n")
    return all(unicodedata.category(c) not in ("Cc", "Cf") for line in lines for c in line)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    content = {**to_mapping(load_architecture("mobilenet_v3_small")), "name": EVIL}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "words",
    [
        "show {path}",
        "export {path} --format yaml",
        "scale {path} --width 2",
        "latency predict {path} --table pixel1",
        "show {path}:best",
        f"show {EVIL}",
        f"list {EVIL}",
        f"{EVIL}",
        f"show --{EVIL}",
        f"search --config {EVIL}",
        f"search --limit {EVIL} --trials 1",
    ],
    ids=lambda words: words[:20].encode("unicode_escape").decode(),
)
def test_nothing_reaches_the_terminal_raw(words: str, evil: Path, nas: Nas) -> None:
    reply = nas(*[word.format(path=evil) for word in words.split(" ")])
    assert reply.out + reply.err
    assert _is_safe(reply.out)
    assert _is_safe(reply.err)
    assert all(len(line) <= 1100 for line in (reply.out + reply.err).splitlines())


@pytest.mark.parametrize("name", ["../../evil", "/tmp/x", "\x1b[31m\n", "..", "a/b", "." * 300])
def test_a_name_is_no_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    arch = replace(load_architecture("mobilenet_v3_small"))  # a copy: others load the same
    object.__setattr__(arch, "name", name)
    path = export(arch, form="yaml")
    assert os.listdir(inside) == [str(path)]
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 1
    assert load_architecture(path).name == name


def test_a_front_leads_to_its_own_solutions(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    (run / "archs").mkdir(parents=True)
    (run / "run.yaml").write_text("schema: 1\n", encoding="utf-8")
    (run / "journal.jsonl").touch()
    arch = load_architecture("mobilenet_v3_small")
    (tmp_path / "x.yaml").write_text(to_yaml(to_mapping(arch)), encoding="utf-8")
    (run / "pareto.csv").write_text("name,best\n../../../x,True\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"pareto\.csv is damaged"):
        find_architecture(f"{run}:best")


def test_passwords_are_masked_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"everything is in {SECRET}")
    put(f"{SECRET}: running")
    print_table(Table(title=SECRET, headings=("name",), rows=((SECRET,),)))
    print_json({"run": SECRET})
    record = logging.LogRecord("nas", logging.WARNING, "", 1, "cannot read %s", (SECRET,), None)
    printed = capsys.readouterr()
    shown = [printed.out, printed.err, LogFormatter().format(record), str(NasError(SECRET))]
    shown += [page(SECRET, [Part(heading=SECRET, texts=(SECRET,))]), Place(SECRET).here.name]
    for text in shown:
        assert "hunter2" not in text
        assert "abc123" not in text
    assert json.loads(printed.out[printed.out.index("{") :])["run"] == "s3://***@host/run?token=***"


def test_progress_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    with progress("measuring", "models") as update:
        update(1, 2, "[/x] [red]\x1b]0;owned\x07")
    assert "\x1b]0;owned" not in stream.getvalue()


def test_a_page_has_no_control_characters() -> None:
    made = page("t", [Part(heading=EVIL, points=(EVIL,), rows=((EVIL,),), headings=("a",))])
    plotly = ROOT / "nas/report/assets/plotly-basic.min.js"
    script = plotly.read_text(encoding="utf-8")  # has tabs of its own
    assert script in made
    assert _is_safe(made.replace(script, ""))


def test_names_in_pictures_are_no_formulas(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from nas.report._drawing import drawing, plain

    with drawing([tmp_path / "x.svg"], 6, 4) as (_, axes):
        axes.set_title(plain("$\\frac$ and \x1b[31m"))
    assert (tmp_path / "x.svg").is_file()
    assert plain("a$b") == r"a\$b"
