"""Exports, by format or by file extension."""

import sys
from pathlib import Path

import pytest

import nas
from nas.core.errors import MissingPackage, NasError
from nas.exporting.export import export
from nas.network.zoo import load_architecture


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_exported_loads_again(tmp_path: Path, form: str) -> None:
    arch = load_architecture("mobilenet_v3_small")
    by_form = export(arch, tmp_path / "one.txt", form=form)
    by_path = export(arch, tmp_path / f"two.{form}")
    assert by_form.read_bytes() == by_path.read_bytes()
    assert load_architecture(by_path) == arch


def test_a_path_that_ends_in_yml_is_yaml(tmp_path: Path) -> None:
    arch = load_architecture("mobilenet_v3_small")
    short = export(arch, tmp_path / "x.yml")
    assert short == tmp_path / "x.yml"
    assert short.read_bytes() == export(arch, tmp_path / "x.yaml").read_bytes()
    assert load_architecture(short) == arch


def test_a_model_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "nas.models.build", raising=False)
    with pytest.raises(MissingPackage) as caught:
        _ = nas.build_model
    assert str(caught.value) == "nas.build_model needs torch; install it: pip install 'nas[torch]'"


def test_a_file_without_a_path_is_named_after_the_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(load_architecture("mnasnet_a1"), form="json") == Path("mnasnet_a1.json")
    assert (tmp_path / "mnasnet_a1.json").is_file()


@pytest.mark.parametrize(
    ("path", "form", "message"),
    [
        (None, "", "needs a format or a path that ends in one"),
        (None, "yml", "unknown exporter 'yml'; did you mean yaml"),
        ("a.txt", "", "unknown exporter 'txt'"),
        ("a", "", "needs a format or a path that ends in one"),
        ("a.onnx", "onnx:batch=some", "onnx: batch must be int, not 'some'"),
        ("/proc/a.yaml", "", "/proc/a.yaml cannot be written"),
        ("/dev/null/a.json", "", "/dev/null/a.json cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_reported(path: str | None, form: str, message: str) -> None:
    with pytest.raises(NasError, match=message) as caught:
        export(load_architecture("mnasnet_a1"), path, form=form)
    assert "\n" not in str(caught.value)
