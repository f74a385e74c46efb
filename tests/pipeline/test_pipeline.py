"""Settings of a pipeline and the record of its stages, without any training."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nas.core.data import to_yaml
from nas.core.errors import BadFile, RunError
from nas.latency.file import load_table
from nas.pipeline.config import (
    Exports,
    PipelineConfig,
    Quantization,
    Scaling,
    read_pipeline,
    write_pipeline,
)
from nas.pipeline.journal import MEASURE, NetworkRecord, PipelineFolder, StageResult
from nas.pipeline.report import write_report
from nas.pipeline.result import PipelineResult, networks_table
from nas.training.recipe_files import to_mapping
from nas.training.recipes import RECIPES

pytestmark = pytest.mark.filterwarnings("ignore:era:nas.core.deprecation.DeprecatedName")
FULL = """schema: 1
data: digits
latency_table: pixel1
era: 2018
seed: 3
search: {space: mbconv, limit: latency_ms<=60, trials: 50}
train: {arch: 7, recipe: quick, epochs: 2}
netadapt: {target_ms: 40, step: 2%, prune: hidden, workers: 2}
scale:
  epochs: 1
  networks:
    b1: {phi: 1, alpha: 1.2, multiple: 4}
    wide: {width: 1.4}
export: {format: yaml}
"""
INPUTS = {"data": "d", "space": "s", "table": "t"}
FOUND = NetworkRecord(
    part="found", name="found", path="search/archs/007.yaml", fingerprint="f", resolution=32,
    latency_ms=1.5, latency_low_ms=1.0, latency_high_ms=2.0, macs=1_500_000, params=20_000,
    scores={"top1_proxy": 0.5}, remarks=("a remark",),
)  # fmt: skip
TRAINED = replace(FOUND, part="trained", name="trained", path="train", scores={"top1": 0.75})


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    (tmp_path / "run.yaml").write_text(FULL)
    return read_pipeline(tmp_path / "run.yaml")


def test_what_is_given_once_reaches_every_stage(config: PipelineConfig) -> None:
    search = config.search
    assert (search.latency_table, search.seed) == (config.latency_table, 3) == ("pixel1_2018", 3)
    assert search.data == ""  # its evaluator does not look at images
    assert config.netadapt
    assert (config.netadapt.settings.seed, config.netadapt.settings.prune) == (3, ("hidden",))
    assert config.train.arch == "7"
    assert config.scale
    assert list(config.scale.networks) == ["b1", "wide"]
    assert config.export
    assert config.export.format == ("yaml",)


def test_settings_survive_their_file(config: PipelineConfig, tmp_path: Path) -> None:
    short = replace(config, netadapt=None, scale=None, export=None)
    for one in (config, short):
        write_pipeline(one, tmp_path / "again.yaml")
        assert read_pipeline(tmp_path / "again.yaml") == one


def test_a_finished_stage_keeps_the_content_of_its_recipe(
    config: PipelineConfig, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("schema: 1\noptimizer: adamw\nlr: 0.1\n")
    mine = replace(config, train=replace(config.train, recipe=str(recipe)))
    with closing(PipelineFolder(tmp_path / "run", mine, INPUTS)) as folder:
        folder.finish("train", StageResult())
    with closing(PipelineFolder(tmp_path / "run", mine, INPUTS)) as folder:
        assert "train" in folder.results
    recipe.write_text("schema: 1\noptimizer: adamw\nlr: 0.2\n")
    with pytest.raises(RunError, match=r"train is finished, and its train.recipe.lr was 0.1, not"):
        PipelineFolder(tmp_path / "run", mine, INPUTS)


def test_stages_that_were_finished_in_an_era_stay_finished(
    config: PipelineConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with closing(PipelineFolder(out, config, INPUTS)) as folder:
        folder.finish("search", StageResult(networks=(FOUND,)))
    path = out / "pipeline.jsonl"
    old = '"latency_table":"pixel1","era":"2018"'
    path.write_text(path.read_text().replace('"latency_table":"pixel1_2018"', old))
    assert old in path.read_text()
    with closing(PipelineFolder(out, config, INPUTS)) as folder:
        assert list(folder.results) == ["search"]
    path.write_text(path.read_text().replace('"era":"2018"', '"era":"2019"'))
    with pytest.raises(RunError, match="its latency_table was 'pixel1', not 'pixel1_2018'"):
        PipelineFolder(out, config, INPUTS)


def test_stages_that_were_finished_before_there_were_detectors_stay_finished(
    config: PipelineConfig, tmp_path: Path
) -> None:
    with closing(PipelineFolder(tmp_path / "run", config, INPUTS)) as folder:
        folder.finish("search", StageResult(networks=(FOUND,)))
        folder.finish("train", StageResult(networks=(TRAINED,)))
    path = tmp_path / "run" / "pipeline.jsonl"
    text = path.read_text()
    for key in ('"task":"classification",', '"head":"",', ',"weights":""'):
        assert key in text
        text = text.replace(key, "")
    path.write_text(text)
    with closing(PipelineFolder(tmp_path / "run", config, INPUTS)) as folder:
        assert list(folder.results) == ["search", "train"]


def test_weights_to_begin_with_count_with_their_content(
    config: PipelineConfig, tmp_path: Path
) -> None:
    begun = replace(config, train=replace(config.train, weights="timm:a"))
    with closing(PipelineFolder(tmp_path / "run", config, INPUTS)) as folder:
        folder.finish("search", StageResult(networks=(FOUND,)))
    with closing(PipelineFolder(tmp_path / "run", begun, {**INPUTS, "weights": "1"})) as folder:
        folder.finish("train", StageResult(networks=(TRAINED,)))
    with pytest.raises(RunError, match=r"its train.weights.fingerprint was '1', not '2'"):
        PipelineFolder(tmp_path / "run", begun, {**INPUTS, "weights": "2"})
    with pytest.raises(RunError, match=r"stage train is finished, and its train.weights"):
        PipelineFolder(tmp_path / "run", config, INPUTS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("era: 2018", "era: true", "run.yaml, line 4: era must be a text, not True"),
        ("seed: 3", "seeds: 3", "run.yaml, line 5: unknown key 'seeds'; did you mean seed?"),
        ("data: digits\n", "", "run.yaml, line 1: missing data"),
        ("trials: 50", "trials: 0", "run.yaml, search, line 6: trials must be a whole number"),
        ("space: mbconv", "seed: 1", "run.yaml, search, line 6: unknown key 'seed'"),
        ("arch: 7", "arch: a7", "run.yaml, train, line 7: arch is best or the number"),
        ("workers: 2", "workers: 0", "run.yaml, netadapt, line 8: workers must be"),
        ("step: 2%", "step: 2 s", "run.yaml, netadapt, line 8: a step is a fraction"),
        ("step: 2%", "seed: 2", "run.yaml, netadapt, line 8: unknown key 'seed'"),
        ("  epochs: 1", "  epoch: 1", "run.yaml, scale, line 10: unknown key 'epoch'"),
        ("wide: {width: 1.4}", "found: {phi: 1}", "run.yaml, scale, line 13: a network is named"),
        ("width: 1.4", "width: 1.4, published: 1", "line 13: published must be true or false"),
        ("width: 1.4", "widht: 1.4", "run.yaml, wide, line 13: unknown key 'widht'"),
        ("{format: yaml}", "{}", "run.yaml, export: missing format"),
        ("{format: yaml}", "yaml", "run.yaml, line 14: export must be a mapping"),
    ],
)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in FULL
    (tmp_path / "run.yaml").write_text(FULL.replace(old, new, 1))
    with pytest.raises(BadFile) as caught:
        read_pipeline(tmp_path / "run.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_finished_stages_are_known_again(config: PipelineConfig, tmp_path: Path) -> None:
    done = StageResult(networks=(FOUND,), notes=("a note",), seconds=2.0)
    with closing(PipelineFolder(tmp_path / "out", config, INPUTS)) as folder:
        assert folder.results == {}
        folder.finish("search", done)
    with closing(PipelineFolder(tmp_path / "out", config, INPUTS)) as folder:
        assert folder.results == {"search": done}
    assert read_pipeline(tmp_path / "out" / "pipeline.yaml").out == str(tmp_path / "out")


def test_settings_may_change_until_their_stage_is_finished(
    config: PipelineConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    longer = replace(config, train=replace(config.train, epochs=5))
    with closing(PipelineFolder(out, config, INPUTS)) as folder:
        folder.finish("search", StageResult())
    with closing(PipelineFolder(out, longer, INPUTS)) as folder:
        folder.finish("train", StageResult())
    with pytest.raises(RunError, match=r"stage train is finished, and its train.epochs was 5, no"):
        PipelineFolder(out, config, INPUTS)
    elsewhere = replace(longer, measure_rounds=2, measure_device="ssh:pi@board")
    faster = replace(elsewhere, search=replace(config.search, workers=8))
    PipelineFolder(out, faster, INPUTS).close()
    wider = replace(longer, scale=Scaling(networks={}))
    PipelineFolder(out, wider, INPUTS).close()


def test_a_stage_may_not_be_put_before_a_finished_one(
    config: PipelineConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with closing(PipelineFolder(out, replace(config, netadapt=None), INPUTS)) as folder:
        folder.finish("scale", StageResult())
    with pytest.raises(RunError, match=r"its netadapt.target_ms was not given, not 40"):
        PipelineFolder(out, config, INPUTS)


@pytest.mark.parametrize("exported", [(), ({"network": "a", "format": "yaml", "path": "e/a"},)])
def test_an_int8_pipeline_of_a_version_that_quantized_in_export_resumes(
    config: PipelineConfig, tmp_path: Path, exported: tuple[dict[str, str], ...]
) -> None:
    out, whole = tmp_path / "out", ({"network": "a", "format": "onnx, int8", "path": "e/b"},)
    made = replace(config, dtype="int8", export=config.export if exported else None)
    earlier = made if exported else replace(made, export=Exports(format=()))
    quantized = replace(TRAINED, part="quantized", name="trained-int8")
    with closing(PipelineFolder(out, earlier, INPUTS)) as folder:
        folder.finish("export", StageResult(networks=(quantized,), files=exported + whole))
        folder.finish(MEASURE, StageResult(measured={"cpu": "c"}))
    lines = [json.loads(line) for line in (out / "pipeline.jsonl").read_text().splitlines()]
    for line in lines:
        line.get("settings", {}).pop("quantize", None)
    (out / "pipeline.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for _ in range(2):
        with closing(PipelineFolder(out, made, INPUTS)) as folder:
            assert list(folder.results) == ["quantize", "export", MEASURE]
            assert folder.results["quantize"].networks == (quantized,)
            assert folder.results["quantize"].files == whole
            assert folder.results["export"] == StageResult(files=exported)
    other = replace(made, quantize=Quantization(images=64))
    with pytest.raises(RunError, match=r"its quantize.images was 128, not 64"):
        PipelineFolder(out, other, INPUTS)


def test_a_recipe_of_the_quantization_that_changed_is_noticed(
    config: PipelineConfig, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(to_yaml(to_mapping(RECIPES["int8"]())), encoding="utf-8")
    made = replace(config, quantize=Quantization(recipe=str(recipe), epochs=1))
    with closing(PipelineFolder(tmp_path / "out", made, INPUTS)) as folder:
        folder.finish("quantize", StageResult())
    PipelineFolder(tmp_path / "out", made, INPUTS).close()
    recipe.write_text(to_yaml({**to_mapping(RECIPES["int8"]()), "lr": 0.123}), encoding="utf-8")
    with pytest.raises(RunError, match=r"its quantize.recipe.lr was .*, not 0.123"):
        PipelineFolder(tmp_path / "out", made, INPUTS)


def test_other_data_under_the_same_name_are_refused(config: PipelineConfig, tmp_path: Path) -> None:
    with closing(PipelineFolder(tmp_path / "out", config, INPUTS)) as folder:
        folder.finish("search", StageResult())
    with pytest.raises(RunError, match=r"its inputs.data was 'd', not 'e'"):
        PipelineFolder(tmp_path / "out", config, {**INPUTS, "data": "e"})


def test_two_pipelines_do_not_share_a_folder(config: PipelineConfig, tmp_path: Path) -> None:
    with (
        closing(PipelineFolder(tmp_path / "out", config, INPUTS)),
        pytest.raises(RunError, match="another pipeline is writing into this file"),
    ):
        PipelineFolder(tmp_path / "out", config, INPUTS)


def test_a_damaged_line_is_named(config: PipelineConfig, tmp_path: Path) -> None:
    with closing(PipelineFolder(tmp_path / "out", config, INPUTS)) as folder:
        folder.finish("search", StageResult())
    journal = tmp_path / "out" / "pipeline.jsonl"
    journal.write_text(journal.read_text().replace('"networks":', '"nets":'))
    with pytest.raises(RunError, match=r"pipeline.jsonl, line 2: damaged"):
        PipelineFolder(tmp_path / "out", config, INPUTS)


def test_the_table_and_the_document_have_the_same_numbers(
    config: PipelineConfig, tmp_path: Path
) -> None:
    measured = {
        "cpu": "a CPU",
        "runtime": "r 1",
        "networks": {"trained": {"ms": 0.5, "low_ms": 0.4, "high_ms": 0.6, "rounds": 2}},
    }
    result = PipelineResult(
        config=config,
        out=tmp_path,
        table=load_table("pixel1"),
        results={
            "search": StageResult(networks=(FOUND,), seconds=1.0),
            "train": StageResult(networks=(TRAINED,), seconds=2.0),
            MEASURE: StageResult(measured=measured),
        },
    )
    rows = networks_table(result).rows
    assert rows == (
        ("found", "1.5", "0.5", "1.5", "0.02", "32", "", "", "50.00"),
        ("trained", "1.5", "0.5", "1.5", "0.02", "32", "75.00", "", ""),
    )
    found = result.record()
    assert [network["measured_ms"] for network in found["networks"]] == [0.5, 0.5]
    assert [network["top1"] for network in found["networks"]] == [None, 0.75]
    assert found["seconds"] == 3.0
    assert "latency_ms of found, trained: a remark" in found["notes"]


def test_columns_are_named_by_the_metric_of_detectors(
    config: PipelineConfig, tmp_path: Path
) -> None:
    trained = replace(TRAINED, scores={"map": 0.375, "test": 0.25})
    result = PipelineResult(
        config=config,
        out=tmp_path,
        table=load_table("pixel1"),
        results={
            "search": StageResult(networks=(FOUND,)),
            "train": StageResult(networks=(trained,)),
        },
    )
    table = networks_table(result)
    assert table.headings[6:] == ("map %", "test %", "top1_proxy %")
    assert [row[6:] for row in table.rows] == [("", "", "50.00"), ("37.50", "25.00", "")]
    found = result.record()["networks"]
    assert [network["map"] for network in found] == [None, 0.375]
    assert not any("top1" in network for network in found)
    write_report(result, lambda _: None)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "map is the average precision on the validation images of digits" in page


def test_a_page_that_fails_costs_no_result(
    config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("oh")

    done = {"search": StageResult(networks=(FOUND,), seconds=1.0)}
    result = PipelineResult(config=config, out=tmp_path, table=load_table("pixel1"), results=done)
    said: list[str] = []
    monkeypatch.setattr("nas.pipeline.report.rendered", broken)
    write_report(result, said.append)
    assert json.loads((tmp_path / "report" / "result.json").read_text()) == result.record()
    (line,) = said
    assert line.startswith("without the report's page, because of a bug: ZeroDivisionError: oh")
