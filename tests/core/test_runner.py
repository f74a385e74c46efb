"""Running tasks in this process, and watching a runner."""

import pytest

from nas.core.errors import BadFile, NasError, RunError
from nas.core.workers.runner import Failure, InProcess, Watched


def _work(shared: int, task: object) -> int:
    if task == "bad":
        raise ValueError("no\nway")
    if task == "known":
        raise NasError("mend it")
    if task == "full":
        raise RunError("no space left")
    if task == "image":
        raise BadFile("a.png is damaged")
    assert isinstance(task, int)
    return shared + task


def test_tasks_are_numbered_and_failures_take_the_place_of_results() -> None:
    found = list(InProcess().map(_work, 10, [1, "bad", "known", "full", "image", 2]))
    assert found == [
        (0, 11),
        (1, Failure("ValueError: no")),
        (2, Failure("mend it")),
        (3, Failure("no space left", fatal=True)),
        (4, Failure("a.png is damaged", fatal=True)),
        (5, 12),
    ]


def test_tasks_are_drawn_when_they_can_be_worked_on() -> None:
    drawn = []

    def tasks() -> object:
        for i in range(3):
            drawn.append(i)
            yield i

    results = InProcess().map(_work, 0, tasks())
    next(results)
    assert drawn == [0]


def test_a_watcher_is_called_behind_every_task_and_may_end_it() -> None:
    class Enough(Exception):
        pass

    seen = []

    def after() -> None:
        seen.append(1)
        if len(seen) == 2:
            raise Enough

    watched = Watched(InProcess(), after)
    assert watched.workers == 1
    results = watched.map(_work, 0, range(5))
    assert next(results) == (0, 0)
    assert next(results) == (1, 1)
    with pytest.raises(Enough):
        next(results)
    watched.close()
