"""Plugins: found by their files, made from text, refused in one line."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.core.errors import MissingPackage, NasError, UnknownName
from nas.core.plugins import KINDS, Plugin, available, bound, create, load


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", ["tpe", "surrogate:path=my.npz", "a:b=1,c=2", "a:b="])
def test_a_plugin_is_written_as_it_is_read(text: str) -> None:
    assert str(Plugin.parse(text)) == text


def test_options_are_taken_apart() -> None:
    plugin = Plugin.parse("surrogate: path = a=b.npz , seed=1,")
    assert plugin.options == {"path": "a=b.npz", "seed": "1"}
    with pytest.raises(NasError, match="expected NAME:key=value, found 'path' without a value"):
        Plugin.parse("surrogate:seed=1,path")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("surrogate:my.npz", {"path": "my.npz"}),
        ("surrogate: my.npz ,seed=1", {"path": "my.npz", "seed": "1"}),
        ("surrogate:C:/a,b/c=d.npz,seed=1", {"path": "C:/a,b/c=d.npz", "seed": "1"}),
        ("surrogate:path=a:b.npz", {"path": "a:b.npz"}),
        ("surrogate:", {}),
    ],
)
def test_what_comes_first_without_a_key_is_the_path(text: str, options: dict[str, str]) -> None:
    assert Plugin.parse(text) == Plugin(name="surrogate", options=options)


def test_a_plugin_that_takes_no_path_says_what_it_takes() -> None:
    with pytest.raises(NasError, match=r"unknown option 'path'.*expected NAME:key=value") as caught:
        create("strategies", Plugin.parse("evolution:64"), None, seed=0)
    assert "found '64' alone" in str(caught.value)
    assert "population" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_has_a_line_and_loads(kind: str) -> None:
    found = available(kind)
    assert found
    for name, line in found.items():
        assert line.endswith("."), name
        assert not name.startswith("_")


def test_listing_imports_nothing() -> None:
    before = set(sys.modules)
    for kind in KINDS:
        available(kind)
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("strategies", "archiv", "unknown strategy 'archiv'; did you mean archive"),
        ("evaluators", "surogate", "unknown evaluator 'surogate'; did you mean surrogate"),
        (
            "exporters",
            "",
            "unknown exporter ''; there are: hub, json, ofa, onnx, tflite, timm, torchvision, yaml",
        ),
        ("strategies", "_pool", "unknown strategy '_pool'"),
        ("strategies", "nowhere.strategy", "strategy nowhere.strategy: Python finds no module now"),
        ("evaluators", "nas.nowhere", "Python finds no module nas.nowhere"),
        ("evaluators", ".relative", "expected a name or a dotted path"),
        ("evaluators", "a..b", "expected a name or a dotted path"),
        ("evaluators", "os.path", "evaluator os.path: the module has no function create"),
    ],
)
def test_a_wrong_name_is_one_line(kind: str, name: str, message: str) -> None:
    with pytest.raises(NasError, match=message) as caught:
        load(kind, name)
    assert "\n" not in str(caught.value)


def test_a_dotted_path_is_accepted(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thing.py").write_text(
        '"""Mine."""\ndef create(space, *, size: int = 3, rate: float = 0.5, on: bool = False):\n'
        "    return space, size, rate, on\n"
    )
    plugin = Plugin.parse("mine.thing:size=5,on=true")
    assert bound("evaluators", plugin, seed=3)("s") == ("s", 5, 0.5, True)
    for text, message in [
        ("mine.thing:size=big", "mine.thing: size must be int, not 'big'"),
        ("mine.thing:rate=x", "mine.thing: rate must be float, not 'x'"),
        ("mine.thing:on=perhaps", "mine.thing: on must be bool, not 'perhaps'"),
        ("mine.thing:siez=1", "evaluator mine.thing: unknown option 'siez'; did you mean size"),
    ]:
        with pytest.raises(NasError, match=message):
            create("evaluators", Plugin.parse(text), "s")


def test_an_option_without_a_default_must_be_given() -> None:
    with pytest.raises(NasError, match="evaluator table needs table"):
        create("evaluators", Plugin.parse("table"), "space")


@pytest.mark.parametrize(
    ("package", "hint"),
    [("ray", r"pip install 'nas\[ray\]'"), ("nowhere_xyz", "pip install nowhere_xyz")],
)
def test_a_missing_package_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, hint: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (folder / f"needs_{package}.py").write_text(f'"""Mine."""\nimport {package}.tune\n')
    (folder / "pack").mkdir(exist_ok=True)
    (folder / "pack" / f"needs_{package}.py").write_text(f'"""Mine."""\nimport {package}\n')
    with pytest.raises(MissingPackage, match=f"needs {package}; install it: {hint}"):
        load("evaluators", f"pack.needs_{package}")


def test_unknown_kinds_of_errors_are_not_hidden(folder: Path) -> None:
    (folder / "pack2").mkdir()
    (folder / "pack2" / "broken.py").write_text('"""Mine."""\n1 / 0\n')
    with pytest.raises(ZeroDivisionError):
        load("evaluators", "pack2.broken")
    with pytest.raises(UnknownName):
        load("evaluators", "pack2.absent")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('imagefolder:"/data/a b,c=d:e"', {"path": "/data/a b,c=d:e"}),
        ('imagefolder:"/data/a b,c=d:e",val=0.2', {"path": "/data/a b,c=d:e", "val": "0.2"}),
        ('imagefolder:val=0.2,path="/a,b=c"', {"val": "0.2", "path": "/a,b=c"}),
        ('csv:/a,image="the ""file"", say" , label=x', {"path": "/a", "image": 'the "file", say',
                                                        "label": "x"}),
        ('csv:/a,b/c=d,label="x"', {"path": "/a,b/c=d", "label": "x"}),
        ('csv:/a,label=""', {"path": "/a", "label": ""}),
        ("csv:/a,label= x y ", {"path": "/a", "label": "x y"}),
        ("csv:C:/a,b/c=d,val=0.3", {"path": "C:/a,b/c=d", "val": "0.3"}),
        ('csv:/a "b" c', {"path": '/a "b" c'}),
    ],
)  # fmt: skip
def test_quotes_keep_a_value_as_it_is(text: str, options: dict[str, str]) -> None:
    plugin = Plugin.parse(text)
    assert plugin.options == options
    assert Plugin.parse(str(plugin)) == plugin
    assert str(Plugin.parse(str(plugin))) == str(plugin)


@pytest.mark.parametrize("text", ['csv:"/a', 'csv:"/a"b', 'csv:/a,label="x"y', 'csv:label="x'])
def test_quotes_that_do_not_end_are_refused(text: str) -> None:
    with pytest.raises(NasError, match="expected one value in double quotes"):
        Plugin.parse(text)


@given(path=st.text(min_size=1), value=st.text())
def test_any_path_and_value_can_be_said(path: str, value: str) -> None:
    plugin = Plugin(name="csv", options={"path": path, "label": value})
    assert Plugin.parse(str(plugin)) == plugin
    said = '"' + path.replace('"', '""') + '"'
    assert Plugin.parse(f"csv:{said}").options == {"path": path}
