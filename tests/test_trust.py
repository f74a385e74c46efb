"""Trust: code named in a file runs only if the user allows it, and never by accident."""

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nas import search
from nas.core import plugins
from nas.core.data import to_yaml
from nas.core.errors import NasError
from nas.core.plugins import Plugin, folders, look_in, trusted
from nas.core.schema import FromFile, Reader
from nas.pipeline.config import read_pipeline
from nas.searching.config import SearchConfig, names_code, read_config, write_config

ROOT = Path(__file__).parents[1]
POISON = '''"""A plugin that leaves word when it is imported."""
from pathlib import Path
Path(__file__).with_name("it_ran").touch()
from nas.searching.evaluators.costs import create as costs

class FakeEvaluator:
    provides, seconds, note = ("top1",), 0.0, "made up"
    def __init__(self, space):
        self._costs = costs(space)
    def __call__(self, candidates):
        return {"top1": 1 / (1 + self._costs(candidates)["macs"] / 1e9)}
    def deviation(self, candidates):
        return {}
    def __str__(self):
        return "poison"

def create(space):
    return FakeEvaluator(space)
'''

Nas = Callable[..., object]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a poisoned package `dlrun`, and no configuration of the user."""
    (tmp_path / "dlrun").mkdir()
    (tmp_path / "dlrun" / "payload.py").write_text(POISON, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in ("dlrun", "dlrun.payload"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def _ran(here: Path) -> bool:
    return (here / "dlrun" / "it_ran").exists()


@pytest.fixture
def run(here: Path, nas: Nas) -> Path:
    """Return a run folder whose settings name the poisoned package, which was not imported yet."""
    words = "--trials 30 --batch 10 --no-plot --out r --strategy random"
    assert nas("search", *words.split(), "--evaluator", "dlrun.payload").code == 0
    assert _ran(here)
    (here / "dlrun" / "it_ran").unlink()
    for name in ("dlrun", "dlrun.payload"):
        del sys.modules[name]
    return here / "r"


@pytest.mark.parametrize(
    "words", ["status r", "show r:best", "export r:best --format yaml", "list", "study r"]
)
def test_looking_at_a_run_imports_no_plugin(words: str, run: Path, nas: Nas) -> None:
    if words.startswith("study"):
        pytest.importorskip("optuna")
    assert nas(*words.split()).code == 0
    assert not _ran(run.parent)


def test_a_run_is_continued_where_that_is_allowed(run: Path, nas: Nas) -> None:
    words = "search --out r --trials 40 --no-plot"
    reply = nas(*words.split())
    assert (reply.code, reply.out) == (2, "")
    assert (
        "dlrun.payload would run the Python module dlrun.payload because a file says so"
        in reply.err
    )
    assert "--allow-plugins" in reply.err
    assert "allow_plugins: ['dlrun.*'] into " in reply.err
    assert not _ran(run.parent)
    assert nas(*words.split(), "--allow-plugins").code == 0
    assert _ran(run.parent)
    assert nas(*words.split(), "--evaluator", "dlrun.payload").code == 0


def test_the_users_configuration_allows(run: Path, nas: Nas) -> None:
    path = run.parent / "config" / "nas" / "config.yaml"
    path.parent.mkdir(parents=True)
    words = ["search", "--out", "r", "--trials", "40", "--no-plot"]
    for content, code in [
        ("allow_plugins: [other.*]", 2),
        ("allow_plugin: [dlrun.*]", 2),
        ("allow_plugins: ['dlrun.*']", 0),
    ]:
        path.write_text(content, encoding="utf-8")
        assert nas(*words).code == code
        assert _ran(run.parent) == (code == 0)


@pytest.mark.parametrize("name", ["evaluator", "strategy", "runner", "data"])
@pytest.mark.parametrize("text", ["dlrun.payload", "dlrun.payload:path=x,y=2"])
def test_no_setting_of_a_file_runs_code(name: str, text: str, here: Path, nas: Nas) -> None:
    settings = {"evaluator": "proxy"} if name == "data" else {}
    (here / "run.yaml").write_text(to_yaml({"schema": 1, **settings, name: text}), encoding="utf-8")
    reply = nas("search", "--config", "run.yaml", "--trials", "1")
    assert reply.code == 2
    assert "a file says so" in reply.err
    assert not _ran(here)
    with pytest.raises(NasError, match="a file says so"):
        search(read_config(here / "run.yaml"), trials=1)


def test_a_sampler_of_a_file_runs_no_code(here: Path, nas: Nas) -> None:
    pytest.importorskip("optuna")
    content = {"schema": 1, "strategy": "optuna_sampler:sampler=dlrun.payload.FakeEvaluator"}
    (here / "run.yaml").write_text(to_yaml(content), encoding="utf-8")
    reply = nas("search", "--config", "run.yaml", "--trials", "1")
    assert (
        "the sampler would run the Python module dlrun.payload because a file says so" in reply.err
    )
    assert not _ran(here)


def test_a_cluster_that_a_file_names_is_not_joined(here: Path, nas: Nas) -> None:
    pytest.importorskip("ray")
    content = {"schema": 1, "runner": "ray", "ray_address": "ray://198.51.100.7:10001"}
    content |= {"evaluator": "zero_cost:score=params", "workers": 2}
    (here / "run.yaml").write_text(to_yaml(content), encoding="utf-8")
    reply = nas("search", "--config", "run.yaml", "--trials", "1")
    assert reply.code == 2
    assert "runner ray would connect to ray://198.51.100.7:10001" in reply.err


@pytest.mark.parametrize(
    ("name", "text", "needs"),
    [
        *((name, "mine.plugin", True) for name in ("evaluator", "strategy", "runner", "data")),
        ("strategy", "optuna_sampler:sampler=mine.Sampler", True),
        ("strategy", "optuna_sampler:sampler=optuna.samplers.QMCSampler", False),
        ("runner", "ray:environment=env.yaml", True),
        ("ray_address", "10.0.0.7:6379", True),
        ("ray_address", "auto", False),
        ("evaluator", "surrogate:my.npz", False),
        ("data", "imagefolder:/data/a.b", False),
    ],
)
def test_the_command_that_resumes_says_what_only_the_user_may(
    name: str, text: str, needs: bool
) -> None:
    assert names_code(SearchConfig(**{name: text})) == needs


PIPELINE = """schema: 1
data: shapes
latency_table: pixel1
search: {{space: mbconv, evaluator: {evaluator}}}
train: {{epochs: 1}}
export: {{format: {format}}}
"""


def test_a_pipeline_runs_no_code(here: Path) -> None:
    path = here / "p.yaml"
    path.write_text(PIPELINE.format(evaluator="dlrun.payload", format="yaml"), encoding="utf-8")
    with pytest.raises(NasError, match="a file says so"):
        read_pipeline(path)
    assert not _ran(here)
    assert read_pipeline(path, allow_plugins=True).search.evaluator == "dlrun.payload"
    assert _ran(here)
    path.write_text(PIPELINE.format(evaluator="surrogate", format="a.b"), encoding="utf-8")
    found = read_pipeline(path)
    assert found.export is not None
    with pytest.raises(NasError, match=r"exporter a\.b would run"):
        plugins.load("exporters", Plugin.parse(found.export.format[0]).name)


def test_what_every_reader_reads_is_known_to_come_from_a_file() -> None:
    text = Reader("x").get({"a": "b.c"}, "a", str)
    assert isinstance(text, FromFile)
    for copy in (pickle.loads(pickle.dumps(text)), replace(SearchConfig(), data=text).data):
        assert isinstance(copy, FromFile)
    assert (text, repr(text), hash(text)) == ("b.c", "'b.c'", hash("b.c"))


def test_settings_are_written_as_they_were_read(tmp_path: Path) -> None:
    config = SearchConfig(evaluator="a.b:c=1", limit=("latency_ms<=80",))
    write_config(config, tmp_path / "run.yaml")
    found = read_config(tmp_path / "run.yaml")
    write_config(found, tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == (tmp_path / "run.yaml").read_bytes()
    assert trusted(found) == found
    assert isinstance(found.evaluator, FromFile)
    assert not isinstance(trusted(found).evaluator, FromFile)


def test_only_the_package_of_the_plugin_is_found_in_the_working_folder(here: Path) -> None:
    (here / "paramiko.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
    plugins.load("evaluators", "dlrun.payload")
    assert folders().of["dlrun"] == str(here)
    assert importlib.util.find_spec("dlrun.payload") is not None
    if "paramiko" not in sys.modules:
        spec = importlib.util.find_spec("paramiko")
        assert spec is None or str(here) not in str(spec.origin)


def test_workers_look_where_this_process_does(here: Path) -> None:
    sent = pickle.dumps(look_in({"dlrun": str(here)}))
    sys.meta_path = [finder for finder in sys.meta_path if type(finder).__name__ != "_InFolder"]
    assert "dlrun" not in folders().of
    pickle.loads(sent)
    assert folders().of["dlrun"] == str(here)


@pytest.mark.parametrize("start", [["-m", "nas.cli"], ["-c", "from nas.cli import main; main()"]])
def test_nothing_in_the_working_folder_runs_by_accident(start: list[str], here: Path) -> None:
    if importlib.util.find_spec("paramiko") is not None:
        pytest.skip("paramiko is installed")
    (here / "paramiko.py").write_text(POISON, encoding="utf-8")
    (here / "it_ran").unlink(missing_ok=True)
    safe = [] if start[0] == "-m" else ["-P"]
    done = subprocess.run(
        [sys.executable, *safe, *start, "show", "sftp://host/run:best"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert not (here / "it_ran").exists()


def test_workers_of_a_pool_find_plugins_of_the_working_folder(here: Path, nas: Nas) -> None:
    slow = POISON.replace('seconds, note = ("top1",), 0.0', 'seconds, note = ("top1",), 1.0')
    (here / "dlrun" / "payload.py").write_text(slow, encoding="utf-8")
    words = "--evaluator dlrun.payload --trials 4 --workers 2 --no-plot --strategy random --out w"
    reply = nas("search", *words.split())
    assert (reply.code, "failed" in reply.err) == (0, False), reply.err
