"""Searching in fp32 and int8."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from nas.accuracy.int8_drop import load_drop_model
from nas.core.errors import BadValue, NasError
from nas.latency.file import load_table, write_table
from nas.searching.config import SearchConfig
from nas.searching.loop import Run, search
from nas.searching.precision import dtypes_of, in_dtypes, named_table, tables_for
from nas.searching.problem import Candidates
from nas.searching.runs.examples import read_examples
from nas.searching.runs.folder import dtype_of, find_architecture, table_name_of
from nas.searching.runs.stored import read_run
from nas.searching.setup import prepare
from nas.space.file import load_space
from nas.space.lookup import SpaceUnits
from nas.space.space import Space

FLOAT = "epyc_genoa_onnxruntime_1t_fp32_mobilenetv3"
WHOLE = "epyc_genoa_onnxruntime_1t_int8_mobilenetv3"
BOTH = f"{FLOAT},{WHOLE}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("both") / "run"
    return search(space="mobilenetv3", latency_table=FLOAT, dtype="int8,fp32", trials=400, out=out)


@pytest.mark.parametrize(
    ("text", "found"), [("", ()), ("int8", ("int8",)), ("int8, fp32", ("fp32", "int8"))]
)
def test_dtypes_are_named_with_a_comma(text: str, found: tuple[str, ...]) -> None:
    assert dtypes_of(text) == found


def test_another_dtype_is_refused() -> None:
    with pytest.raises(BadValue, match="dtype must be fp32, int8 or fp32,int8, not 'int4'"):
        SearchConfig(dtype="int4")


def test_the_other_table_is_found_by_its_name() -> None:
    expected = {"fp32": FLOAT, "int8": WHOLE}
    for named, dtype in ((FLOAT, "fp32,int8"), (WHOLE, "fp32,int8"), (BOTH, ""), (BOTH, "int8")):
        found = tables_for(named, dtype)
        assert {d: name for d, (name, _) in found.items()}.items() <= expected.items()
    assert [name for name, _ in tables_for(FLOAT, "int8").values()] == [WHOLE]
    assert [*tables_for(WHOLE, "")] == [""]


def test_the_other_table_is_found_beside_a_file(tmp_path: Path) -> None:
    for dtype, name in (("fp32", FLOAT), ("int8", WHOLE)):
        write_table(load_table(name), tmp_path / f"mine_{dtype}_x.yaml")
    found = tables_for(str(tmp_path / "mine_fp32_x.yaml"), "int8")
    assert [name for name, _ in found.values()] == [str(tmp_path / "mine_int8_x.yaml")]


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="dtype int8 needs a latency table in int8, and pixel1 is"):
        tables_for("pixel1", "fp32,int8")
    with pytest.raises(NasError, match="do not compare: Google Pixel 1, 1 thread"):
        tables_for(f"pixel1,{WHOLE}", "")
    with pytest.raises(NasError, match="names more than one table in fp32"):
        tables_for(f"pixel1,{FLOAT}", "")


def test_the_table_of_a_dtype_is_named_by_the_settings() -> None:
    assert named_table(BOTH, "fp32,int8", "int8") == WHOLE
    assert named_table(BOTH, "fp32,int8") == FLOAT
    assert named_table(FLOAT, "", "") == FLOAT


def test_one_front_has_both_and_each_latency_is_of_its_table(run: Run) -> None:
    dtypes = {s.dtype for s in run.solutions}
    assert dtypes == {"fp32", "int8"}
    tables = {"fp32": load_table(FLOAT), "int8": load_table(WHOLE)}
    for solution in run.solutions:
        assert solution.latency == tables[solution.dtype].predict(solution.arch)
        assert solution.metrics["latency_ms"] == pytest.approx(solution.latency.ms, abs=1e-6)
        assert solution.picks is not None
        assert solution.picks["dtype"] == solution.dtype


def test_accuracy_is_lowered_in_int8_alone(run: Run) -> None:
    setup, model = run.setup, load_drop_model()
    rows = setup.space.plain.sample_matrix(np.random.default_rng(0), 8)
    dtype = np.repeat([[0], [1]], 8, axis=0).astype(np.uint8)
    both = np.concatenate([np.concatenate([rows, rows]), dtype], axis=1)
    found = setup.evaluator(setup.problem.candidates(both))
    metrics: Mapping[str, np.ndarray] = getattr(found, "metrics", found)
    plain = prepare(SearchConfig(space="mobilenetv3", latency_table=FLOAT))
    alone = plain.evaluator(plain.problem.candidates(rows))
    assert isinstance(alone, Mapping)
    losses = [model.of(arch) for arch in setup.problem.decode(both[8:])]
    assert np.array_equal(metrics["top1"][:8], alone["top1"])
    assert metrics["top1"][8:] == pytest.approx(alone["top1"] - [drop for drop, _ in losses])
    assert np.array_equal(metrics["top1_lcb"][:8], alone["top1_lcb"])
    assert (metrics["top1_lcb"][8:] < metrics["top1_lcb"][:8]).all()
    deviation = setup.evaluator.deviation(setup.problem.candidates(both))["top1"]
    wanted = np.hypot(deviation[:8], [doubt for _, doubt in losses])
    assert deviation[8:] == pytest.approx(wanted)


def test_a_space_with_swish_says_how_much_that_may_lose(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "phone.yaml"
    write_table(replace(load_table("pixel1"), dtype="int8"), table)
    config = SearchConfig(space="mbconv", latency_table=str(table), dtype="int8")
    said = "networks with swish lost 0.02 to 29 points in int8"
    assert said in prepare(config).note
    assert said not in run.setup.note  # mobilenetv3 has hard-swish


def test_a_run_is_resumed_and_its_solutions_know_their_dtype(run: Run) -> None:
    assert isinstance(run.out, Path)
    again = search(run.setup.config, out=run.out, trials=450)
    assert len(again.trials) == 450
    assert np.array_equal(again.trials.picks[:400], run.trials.picks)
    for solution in (again.solutions[0], again.solutions[-1]):
        name = f"{run.out}:{solution.name}"
        assert dtype_of(name) == solution.dtype
        assert table_name_of(run.out, solution.name) == (
            WHOLE if solution.dtype == "int8" else FLOAT
        )
        assert find_architecture(name).fingerprint == solution.arch.fingerprint
    stored = read_run(run.out)
    assert stored.space.dtypes == ("fp32", "int8")
    assert np.array_equal(stored.trials.picks, again.trials.picks)


def test_models_are_learned_from_the_trials_in_fp32(run: Run) -> None:
    assert isinstance(run.out, Path)
    found = read_examples([run.out])
    whole = read_run(run.out)
    assert found.space == whole.space.plain
    _, int8 = whole.space.split(whole.trials.picks)
    assert int8 is not None
    assert 0 < len(found.picks) <= int((~int8).sum())


def test_known_architectures_begin_in_each_dtype(run: Run) -> None:
    seeds = run.setup.seeds
    assert len(seeds) >= 2
    assert np.array_equal(seeds[::2, :-1], seeds[1::2, :-1])
    assert seeds[:2, -1].tolist() == [0, 1]


def test_one_dtype_is_no_choice() -> None:
    setup = prepare(SearchConfig(space="mobilenetv3", latency_table=FLOAT, dtype="int8"))
    assert setup.config.latency_table == WHOLE
    assert setup.space.columns == setup.space.plain.columns
    picks = setup.space.sample_matrix(np.random.default_rng(0), 3)
    int8 = setup.problem.candidates(picks).int8
    assert int8 is not None
    assert int8.all()
    assert "in int8, top-1 is lowered" in setup.note


def test_a_table_in_int8_alone_leaves_the_accuracy_and_says_so() -> None:
    setup = prepare(SearchConfig(space="mobilenetv3", latency_table=WHOLE))
    assert setup.space.dtypes == ()
    assert "the accuracy is not lowered for it: `dtype=int8`" in setup.note


@dataclass(frozen=True)
class Score:
    """A score that is no accuracy."""

    provides: tuple[str, ...] = ("zero_cost",)
    seconds: float = 1.0
    note: str = ""

    def __call__(self, candidates: Candidates) -> Mapping[str, np.ndarray]:
        return {"zero_cost": np.zeros(len(candidates))}

    def deviation(self, candidates: Candidates) -> Mapping[str, np.ndarray]:
        return {}


def test_a_score_does_not_tell_dtypes_apart() -> None:
    space = load_space("mbconv_64")
    units, score = SpaceUnits(space), Score()
    assert in_dtypes(score, space, units, ("int8",)) is score
    with pytest.raises(NasError, match="zero_cost does not tell fp32 from int8"):
        in_dtypes(score, space, units, ("fp32", "int8"))


def test_a_space_of_dtypes_is_the_same_space_with_a_choice_more() -> None:
    space = load_space("mbconv_64")
    both: Space = replace(space, dtypes=("fp32", "int8"))
    assert both.fingerprint == space.fingerprint
    assert both.size == 2 * space.size
    assert both.columns[:-1] == space.columns
    row = both.sample_matrix(np.random.default_rng(1), 1)
    rows, int8 = both.split(row)
    assert both.decode_row(row[0]) == space.decode_row(rows[0])
    assert int8 is not None
    assert bool(int8[0]) == (both.unpack(row[0])["dtype"] == "int8")
    assert both.encode(both.decode_row(row[0]))["dtype"] == "fp32"


def test_who_measures_in_int8_needs_a_search_in_int8() -> None:
    space = load_space("mbconv_64")

    @dataclass(frozen=True)
    class Measured(Score):
        int8: bool = True

    units, evaluator = SpaceUnits(space), Measured()
    assert in_dtypes(evaluator, space, units, ("fp32", "int8")) is evaluator
    with pytest.raises(NasError, match="is not searched: give `dtype=int8`"):
        in_dtypes(evaluator, space, units, ())
