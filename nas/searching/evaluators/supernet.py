"""Accuracy on your own data with the shared weights of a supernet, without a training."""

from pathlib import Path

import numpy as np

from nas.core.errors import NasError
from nas.network.weights import fingerprint
from nas.searching.problem import Candidates, Floats, Metrics
from nas.space.heads import Detectors
from nas.space.space import Space
from nas.supernet.calibration import BATCHES
from nas.supernet.find import load_supernet
from nas.supernet.fit import Line, line_of
from nas.supernet.scoring import Scorer
from nas.training.data import load_data


class SupernetAccuracy:
    """Scores candidates with their part of the weights of a supernet.

    Their statistics of normalisation are measured on training images first. With a `line` they get
    the accuracy to expect of a training of their own.
    """

    seconds = 1.0
    at_once = 16

    def __init__(self, scorer: Scorer, text: str, line: Line | None = None) -> None:
        """Score by `scorer`; `text` names what the numbers depend on."""
        self._scorer, self._text, self._line = scorer, text, line

    @property
    def provides(self) -> tuple[str, ...]:
        """The accuracy: with shared weights, or the predicted one of a training."""
        return ("top1",) if self._line else ("top1_proxy",)

    @property
    def note(self) -> str:
        """What the numbers are."""
        data, found = self._scorer.data.name, self._scorer.supernet
        what = f"the accuracy on {data} with weights of the supernet {found.path}"
        if self._line:
            count, off = self._line.count, 100 * self._line.deviation
            what = (
                f"predicted from {what}, by a line through {count} trained networks, which lie "
                f"{off:.1f} points from it"
            )
        train = f"train what you choose: nas train RUN:best --data {data} --inherit {found.source}"
        take = (
            f"; or take it as it is: nas supernet extract {found.source} --arch RUN:best "
            "--out best.safetensors"
        )
        return f"{self.provides[0]} is {what}; {train}{take if found.named else ''}"

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the accuracy of every candidate on the validation images, a fraction."""
        shared = self._shared(candidates)
        return {self.provides[0]: self._line.predict(shared) if self._line else shared}

    def _shared(self, candidates: Candidates) -> Floats:
        found = [self._scorer.top1(arch) for arch in candidates.archs]
        return np.array(found, dtype=np.float64)

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return how far the accuracies may be off.

        Of those with shared weights that is since the validation images are some of many, of
        predicted ones how far the trained networks lie from the line.
        """
        shared = self._shared(candidates)
        if self._line:
            return {"top1": self._line.deviations(shared)}
        images = len(self._scorer.data.val)
        share = (shared * images + 0.5) / (images + 1)  # never 0 or 1
        return {"top1_proxy": np.sqrt(share * (1 - share) / images)}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return self._text


def create(  # noqa: PLR0913  # a parameter for every option
    space: Space,
    *,
    path: str = "",
    data: str = "",
    calibration: int = BATCHES,
    probe: bool = False,
    trained: str = "",
    device: str = "auto",
    detectors: Detectors | None = None,
) -> SupernetAccuracy:
    """Return the evaluator for candidates of one space.

    `path` is the folder of a supernet of this space, or "ofa:PATH", a file of Once-for-All; `data`
    are the images to score on, by default those that it was trained on; `calibration` is how many
    batches of 256 training images the statistics of normalisation are measured on. With `probe`,
    candidates get a linear classifier for the classes of the data, fitted on the same images.
    `trained` is a folder of trainings of some networks of the space on the same data: candidates
    get the accuracy that these make expect.

    Raises:
        NasError: if there is no supernet, it is one of another space or of other classes, or fewer
            than four networks of it are trained.
    """
    if detectors:
        raise NasError(
            "evaluator supernet scores classifiers; for detectors take `evaluator=published`, by "
            "their backbones, or `evaluator=proxy` with data"
        )
    if not path:
        raise NasError(
            "evaluator supernet needs the folder of a supernet, as in `evaluator=supernet:FOLDER`; "
            f"train one: nas supernet train --space {space.name}"
        )
    found = load_supernet(path)
    found.check_space(space)
    loaded = load_data(data or found.trained_on())
    scorer = Scorer(found, loaded, device=device, calibration=calibration, probe=probe)
    line = line_of(Path(trained), scorer) if trained else None
    text = (
        f"supernet:{fingerprint(found.weights)} data {loaded.fingerprint} calibration {calibration}"
        f"{' probe' if probe else ''}{f' {_text(line)}' if line else ''}"
    )
    return SupernetAccuracy(scorer, text, line)


def _text(line: Line) -> str:
    return f"line through {line.count} networks: {line.offset:.6g} + {line.slope:.6g} x"
