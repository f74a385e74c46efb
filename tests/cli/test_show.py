"""`nas show`: a network block by block."""

import json
from collections.abc import Callable

import pytest

from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.zoo import load_architecture

Nas = Callable[..., object]


def test_json_adds_up(nas: Nas) -> None:
    found = json.loads(nas("show", "efficientnet_b0", "--json").out)
    arch = load_architecture("efficientnet_b0")
    assert (found["macs"], found["params"]) == (cost(arch).macs, 5_288_548)
    assert found["fingerprint"] == arch.fingerprint
    assert found["latency_low_ms"] < found["latency_ms"] < found["latency_high_ms"]
    for name in ("macs", "params"):
        assert sum(unit[name] for unit in found["units"]) == found[name]
    assert sum(unit["ms"] for unit in found["units"]) == pytest.approx(found["latency_ms"])
    assert [unit["name"] for unit in found["units"]] == [unit.name for unit in lower(arch)]


def test_the_table_has_a_row_for_every_block(nas: Nas) -> None:
    reply = nas("show", "mobilenet_v3_large")
    arch = load_architecture("mobilenet_v3_large")
    lines = reply.out.splitlines()
    for unit in lower(arch):
        assert sum(line.split()[:1] == [unit.name] for line in lines) == 1
    assert lines[-1].startswith("total")
    assert lines[-1].split()[-1] == "100.0"
    assert "5483.0" in lines[-1]
    assert "pixel1 (" in reply.err


def test_multipliers_are_names_too(nas: Nas) -> None:
    found = json.loads(nas("show", "mobilenet_v1@0.75-192", "--json").out)
    assert found["params"] == 2_585_560


def test_a_solution_of_a_run_is_shown_with_the_table_of_its_run(nas: Nas) -> None:
    settings = ("--space", "mnasnet_b0", "--latency-table", "pixel3", "--trials", "20", "--no-plot")
    assert nas("search", *settings, "--out", "run").code == 0
    assert "pixel3 (" in nas("show", "run:best").err
    assert "pixel2 (" in nas("show", "run:best", "--latency-table", "pixel2").err


def test_a_resolution_beyond_all_limits_is_named(nas: Nas) -> None:
    reply = nas("show", "mobilenet_v2@1.0-1000000000000")
    assert reply.code == 2
    assert "resolution" in reply.err
    assert "1000000000000" in reply.err
