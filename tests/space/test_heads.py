"""Detectors of a space: looked-up sums equal the costs of each detector."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.core import plugins
from nas.core.errors import BadPlugin, NasError
from nas.latency.file import load_table
from nas.network.cost import cost, cost_of
from nas.network.footprint import peak_mb, size_mb
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.evaluators.footprint import create as create_footprint
from nas.searching.evaluators.table import create as create_table
from nas.searching.metrics import UPPER
from nas.searching.problem import Candidates
from nas.space.file import load_space
from nas.space.heads import Detectors, Head
from nas.space.space import Matrix, Space
from nas.space.with_heads import Bodies, HeadLookup

MEASURED = "epyc_genoa_onnxruntime_1t_fp32_mobilenetv3"
HEADS = (
    "ssdlite",
    "ssdlite:reduced_tail=true",
    "ssd:classes=3,fewer_anchors=false",
    "yolo:classes=5,width=0.5",
)


def _detectors(head: str, space: str, count: int) -> tuple[Detectors, Candidates]:
    made = Head.parse(head)
    searched = made.searched(load_space(space))
    rows = searched.sample_matrix(np.random.default_rng(3), count)
    found = Candidates(space=searched, picks=rows, head=made)
    return Detectors(head=made, space=searched), found


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("space", ["mbconv", "mnasnet", "mobilenetv3"])
def test_sums_are_the_costs_of_each_detector(space: str, head: str) -> None:
    one = f"{head}{',' if ':' in head else ':'}resolution=224"
    fixed = head if space == "mbconv" and "tail" not in head else one
    detectors, candidates = _detectors(fixed, space, 24)
    found = create_costs(detectors.space, detectors=detectors)(candidates)
    for i, arch in enumerate(candidates.archs):
        expected = cost(arch)
        assert found["macs"][i] == expected.macs
        assert found["params"][i] == expected.params
        assert found["activations"][i] == expected.activations


@pytest.mark.parametrize("table", ["pixel1", MEASURED])
@pytest.mark.parametrize("head", HEADS)
def test_latencies_are_those_predicted_for_each_detector(head: str, table: str) -> None:
    detectors, candidates = _detectors(head, "mnasnet" if "tail" in head else "mbconv", 20)
    loaded = load_table(table)
    evaluator = create_table(
        detectors.space,
        table=loaded,
        allow_extrapolation=True,
        confidence=loaded.spread.coverage,
        detectors=detectors,
    )
    found, expected = evaluator(candidates), loaded.predict_all(candidates.archs)
    assert found["latency_ms"] == pytest.approx([one.ms for one in expected], abs=1e-6)
    assert found[UPPER] == pytest.approx([one.high_ms for one in expected], abs=1e-5)


def test_the_order_of_questions_does_not_matter() -> None:
    detectors, candidates = _detectors("ssdlite", "mbconv", 60)
    first = create_costs(detectors.space, detectors=detectors)(candidates)["macs"]
    again, other = create_costs(detectors.space, detectors=detectors), candidates.picks[::-1]
    one_by_one = [again(replace(candidates, picks=row[None]))["macs"][0] for row in other]
    assert one_by_one[::-1] == first.tolist()


def test_few_detectors_are_worked_out_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(self: Head, backbone: object) -> object:
        made.append(backbone)
        return plugins.create("heads", self.plugin, backbone)

    monkeypatch.setattr(Head, "__call__", counted)
    detectors, candidates = _detectors("ssdlite", "mobilenetv3", 2000)
    create_costs(detectors.space, detectors=detectors)(candidates)
    assert len(made) < 40


def test_footprints_are_those_of_each_detector() -> None:
    detectors, candidates = _detectors("yolo:resolution=128", "mbconv", 8)
    found = create_footprint(detectors.space, detectors=detectors, dtype="int8")(candidates)
    assert found["size_mb"] == pytest.approx([size_mb(a, "int8") for a in candidates.archs])
    assert found["peak_mb"] == pytest.approx([peak_mb(a, "int8") for a in candidates.archs])


def test_a_head_that_does_not_name_its_inputs_is_computed_as_a_whole() -> None:
    detectors, candidates = _detectors("ssdlite", "mnasnet_b0", 6)
    bodies = Bodies(detectors.space, detectors.head, None)
    found = HeadLookup(bodies, lambda unit: (cost_of(unit).macs,), lambda arch: (cost(arch).macs,))
    expected = [cost(arch).macs for arch in candidates.archs]
    assert found(candidates.picks)[:, 0].tolist() == expected


def test_no_rows_have_no_sums() -> None:
    detectors, candidates = _detectors("ssdlite", "mnasnet_b0", 0)
    assert create_costs(detectors.space, detectors=detectors)(candidates)["macs"].shape == (0,)


@pytest.mark.parametrize(
    ("head", "space", "sides"),
    [
        ("ssdlite", "mnasnet_b0", (320,)),
        ("ssdlite:resolution=416", "mnasnet_b0", (416,)),
        ("ssdlite", "mobilenetv3", (160, 176, 192, 208, 224)),  # a choice of the space stays one
        ("ssdlite:resolution=256", "mobilenetv3", (256,)),
    ],
)
def test_the_resolution_is_320_or_what_space_or_head_say(
    head: str, space: str, sides: Sequence[int]
) -> None:
    made, given = Head.parse(head), load_space(space)
    found = made.searched(given)
    assert found.resolutions == tuple(sides)
    some = found.decode_rows(found.sample_matrix(np.random.default_rng(0), 20))
    assert {made(arch).resolution for arch in some} <= set(sides)
    assert len(made.judged(given).columns) == len(found.columns)


def test_a_head_is_read_as_it_is_written() -> None:
    text = "ssdlite:classes=3,resolution=256"
    assert str(Head.parse(text)) == text
    assert str(Head.parse("ssdlite").with_default({"classes": "4"})) == "ssdlite:classes=4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sdlite", "unknown head 'sdlite'; did you mean ssdlite"),
        ("ssdlite:resolution=big", "resolution must be 32 to 4096 pixels, not big"),
        ("ssdlite:mobilenet_v2", "the networks of the space are the backbones, so name none"),
    ],
)
def test_a_mistake_in_a_head_is_named(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        Head.parse(text)


def _short(space: Space) -> Space:
    """Return a space whose networks end at a stride of 16."""
    return replace(space, stages=space.stages[:-2])


def test_a_space_without_the_maps_of_a_head_is_refused() -> None:
    space = _short(Head.parse("ssdlite").searched(load_space("mnasnet_b0")))
    with pytest.raises(NasError, match=r"head ssdlite does not fit space mnasnet_b0: .*stride 16"):
        Head.parse("ssdlite").check(space)


def test_a_resolution_that_does_not_fit_is_reported_with_what_helps() -> None:
    with pytest.raises(NasError, match=r"multiple of 32, .* not 176: .*resolution=320"):
        Head.parse("yolo").check(load_space("mobilenetv3"))


def test_a_tail_is_halved_where_the_last_stage_was_dropped() -> None:
    head = Head.parse("ssdlite:reduced_tail=true")
    space = head.searched(load_space("mbconv"))
    row: Matrix = space.sample_matrix(np.random.default_rng(0), 1)[0]
    row[[c.name for c in space.columns].index("stage7_layers")] = 0
    backbone = space.decode_row(space.canonical(row[None])[0])
    assert not backbone.stages[6]
    found = {unit.name: unit.out_shape[0] for unit in lower(head(backbone))}
    tail = backbone.stages[5]
    halved = found[f"stages.5.{len(tail)}"]  # the first block is split
    assert halved == pytest.approx(tail[-1].out_channels / 2, abs=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def create(backbone, *, classes=3):\n    return None\n", "is None; nas.network.blocks"),
        (
            "def create(*, classes=3):\n    return None\n",
            r"create\(backbone, \*, classes, \.\.\.\)",
        ),
    ],
)
def test_a_head_that_gives_no_network_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"heads_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "mine.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadPlugin, match=message):
        Head.parse(f"{package}.mine")(load_architecture("mobilenet_v3_small"))
