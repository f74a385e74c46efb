"""Accuracy on your own data with the shared weights of a supernet, in a second or less."""

import numpy as np

from nas.core.errors import NasError
from nas.network.weights import fingerprint
from nas.searching.problem import Candidates, Metrics
from nas.space.heads import Detectors
from nas.space.space import Space
from nas.supernet.calibration import BATCHES
from nas.supernet.find import load_supernet
from nas.supernet.scoring import Scorer
from nas.training.data import load_data


class SupernetAccuracy:
    """Scores candidates with their part of the weights of a supernet.

    Their statistics of normalisation are measured on training images first.
    """

    provides = ("top1_proxy",)
    seconds = 1.0
    at_once = 16

    def __init__(self, scorer: Scorer, text: str) -> None:
        """Score by `scorer`; `text` names what the numbers depend on."""
        self._scorer, self._text = scorer, text

    @property
    def note(self) -> str:
        """What the numbers are."""
        data = self._scorer.data.name
        path = self._scorer.supernet.path
        return (
            f"top1_proxy is the accuracy on {data} with weights of the supernet {path}; train what "
            f"you choose: nas train RUN:best --data {data} --inherit {path}"
        )

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the accuracy of every candidate on the validation images, a fraction."""
        found = [self._scorer.top1(arch) for arch in candidates.archs]
        return {"top1_proxy": np.array(found, dtype=np.float64)}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return how far an accuracy may be off since the validation images are some of many."""
        images = len(self._scorer.data.val)
        share = (self(candidates)["top1_proxy"] * images + 0.5) / (images + 1)  # never 0 or 1
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
    device: str = "auto",
    detectors: Detectors | None = None,
) -> SupernetAccuracy:
    """Return the evaluator for candidates of one space.

    `path` is the folder of a supernet of this space, or "ofa:PATH", a file of Once-for-All; `data`
    are the images to score on, by default those that it was trained on; `calibration` is how many
    batches of 256 training images the statistics of normalisation are measured on. With `probe`,
    candidates get a linear classifier for the classes of the data, fitted on the same images.

    Raises:
        NasError: if there is no supernet, or it is one of another space or of other classes.
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
    text = (
        f"supernet:{fingerprint(found.weights)} data {loaded.fingerprint} calibration {calibration}"
    )
    scorer = Scorer(found, loaded, device=device, calibration=calibration, probe=probe)
    return SupernetAccuracy(scorer, f"{text} probe" if probe else text)
