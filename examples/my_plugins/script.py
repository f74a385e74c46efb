"""Asks a script for the accuracy: it gets the architecture as JSON, and prints one number.

    nas search --evaluator 'my_plugins.script:command=python my_plugins/train.py,seconds=60'

The script reads standard input, and may take as long as it likes; `--workers 4` runs several. Where
it fails, that trial fails, with the last line of what it said.
"""

import json
import shlex
import subprocess
from collections.abc import Mapping

import numpy as np

from nas.core.errors import NasError
from nas.network.blocks import to_mapping
from nas.searching.problem import Answers, Candidates
from nas.space.space import Space


class Script:
    """Runs `command` once for each candidate."""

    provides = ("top1",)
    note = "top1 is what a script printed"

    def __init__(self, command: str, seconds: float) -> None:
        """Remember what to run, and how long that usually takes."""
        self.command, self.seconds = command, seconds

    def __call__(self, candidates: Candidates) -> Answers:
        """Return the accuracies that the script prints, and why it failed where it did."""
        found = np.full(len(candidates), np.nan)
        errors: dict[int, str] = {}
        for number, arch in enumerate(candidates.archs):
            try:
                found[number] = self._asked(json.dumps(to_mapping(arch)))
            except NasError as error:
                errors[number] = str(error)
        return Answers(metrics={"top1": found}, errors=errors)

    def _asked(self, text: str) -> float:
        done = subprocess.run(
            shlex.split(self.command), input=text, capture_output=True, text=True, check=False
        )
        said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        last = said[-1] if said else "nothing"
        if done.returncode != 0:
            raise NasError(f"{self.command} ended with {done.returncode}: {last}")
        try:
            return float(last)
        except ValueError:
            raise NasError(f"{self.command} printed {last!r}; expected a fraction") from None

    def deviation(self, candidates: Candidates) -> Mapping[str, np.ndarray]:
        """Return nothing: the noise of a training is unknown."""
        return {}

    def __str__(self) -> str:
        """Return what the answers depend on; a run is resumed only with the same."""
        return f"script {self.command}"


def create(space: Space, *, command: str, seconds: float = 60.0) -> Script:
    """Return the evaluator for one space."""
    return Script(command, seconds)
