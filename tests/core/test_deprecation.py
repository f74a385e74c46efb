import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.core.deprecation import DeprecatedName, deprecated, printed

SAID = "colour is deprecated and is removed in version 9.0.0; use color"


def use() -> None:
    deprecated("colour", instead="color", removed_in="9.0.0")


def test_a_name_is_warned_of_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use()
        use()
        deprecated("grey", instead="gray", removed_in="9.0.0")
    said = [str(one.message).partition(" ")[0] for one in caught]
    assert said == ["colour", "grey"]


def test_an_error_is_raised_every_time() -> None:
    for _ in range(2):
        with pytest.raises(DeprecatedName, match="use color"):
            use()


def test_it_is_printed_whatever_the_filters_are() -> None:
    lines: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with printed(lines.append):
            use()
            use()
    assert lines == [SAID]


def test_other_warnings_are_not_printed_by_it() -> None:
    lines: list[str] = []
    with pytest.warns(UserWarning, match="mine"), printed(lines.append):
        warnings.warn("mine", UserWarning, stacklevel=1)
    assert lines == []


@pytest.mark.parametrize(
    "code",
    [
        "from nas.searching.problem import Limit",
        "nas.load_table('pixel1', era='2018')",
        "nas.SearchConfig(latency_table='pixel1', era='2018')",
        "dataclasses.replace(nas.SearchConfig(), latency_table='pixel1', era='2018')",
    ],
)
def test_the_warning_points_to_the_line_of_the_user(code: str, tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(f"import dataclasses, nas\n\n{code}\n", encoding="utf-8")
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stderr.startswith(f"{script}:3: DeprecatedName: ")
    assert found.stderr.count("is removed in version") == 1


def test_former_names_mean_the_new_ones() -> None:
    from nas.searching import problem

    with pytest.warns(DeprecatedName, match="Limit is deprecated"):
        assert problem.Limit is nas.Constraint
    with pytest.raises(AttributeError, match="has no attribute 'Limits'"):
        _ = problem.Limits


def test_the_command_line_says_it_in_a_line(nas: Callable[..., Any]) -> None:
    found = nas("show", "mobilenet_v2", "--era", "2018")
    assert found.code == 0
    assert found.err.count("era 2018 of pixel1 is deprecated and is removed in version 0.3.0") == 1
