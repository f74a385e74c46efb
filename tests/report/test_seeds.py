"""Several searches as a LaTeX table: mean and standard deviation over seeds."""

from pathlib import Path
from statistics import fmean, stdev

import pytest
from small_search import search

from nas.core.errors import NasError
from nas.report.seeds import escaped, latex_table, seed_rows
from nas.searching.pareto import hypervolume


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        search(trials=60, strategy="random", seed=seed, out=out / f"random{seed}")
    search(trials=60, strategy="archive", out=out / "archive")
    search(trials=60, strategy="random", objective=("min:macs",), out=out / "macs")
    return out


def test_seeds_of_equal_settings_are_one_row(folder: Path) -> None:
    names = [str(folder / name) for name in ("random0", "random1", "archive")]
    both, alone = seed_rows(names)
    assert (both.name, both.seeds, both.trials) == ("random", (0, 1), (60, 60))
    assert (alone.name, alone.seeds) == ("archive", (0,))
    found = both.record()["top1_proxy"]
    values = both.values["top1_proxy"]
    assert (found["mean"], found["std"]) == (fmean(values), stdev(values))
    assert alone.record()["top1_proxy"]["std"] is None


def test_hypervolumes_have_one_reference_point(folder: Path) -> None:
    runs = [search(trials=60, strategy="random", seed=seed) for seed in (0, 1)]
    reference = [max(run.reference_point[i] for run in runs) for i in range(2)]
    (row,) = seed_rows([str(folder / "random0"), str(folder / "random1")])
    for run, volume in zip(runs, row.values["hypervolume"], strict=True):
        scores = run.setup.problem.scores(run.trials.metrics)[run.front]
        assert volume == pytest.approx(hypervolume(scores, reference), rel=1e-12)


def test_the_table_is_latex(folder: Path) -> None:
    rows = seed_rows([str(folder / "random0"), str(folder / "random1")])
    lines = latex_table(rows).splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrr}"
    assert lines[2].startswith(r"Search & Seeds & Trials & Hypervolume & Best top1\_proxy (\%)")
    assert lines[4].startswith(r"mnasnet\_b0, random & 2 & 60 & $")
    assert lines[4].count(r"\pm") == 3
    assert escaped(r"50% of a_b & \x{}") == r"50\% of a\_b \& \textbackslash{}x\{\}"


def test_what_does_not_compare_is_refused(folder: Path) -> None:
    with pytest.raises(NasError, match=r"do not compare: their objectives are min:macs and max:"):
        seed_rows([str(folder / "random0"), str(folder / "macs")])
    with pytest.raises(NasError, match="seed 0 of mnasnet_b0, random is given 2 times"):
        seed_rows([str(folder / "random0")] * 2)
    with pytest.raises(NasError, match="is not a run folder"):
        seed_rows([str(folder)])
